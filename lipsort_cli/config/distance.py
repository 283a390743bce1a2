"""Networks of order statistics: 1-Lipschitz in L-infinity whatever their weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lipsort_cli.config.options import REQUIRED, option


@dataclass
class DistanceModel:
    """Layers of L-infinity distances; activation and constraint have no part in it."""

    name: str = REQUIRED
    widths: list[int] = option([512], "hidden widths", minimum=1, maximum=65536)
    pool: int = option(
        1, "side of the windows of pixels whose largest is kept first; 1: none", minimum=1
    )
    spread: float = option(1.0, "standard deviation of the first weights", above=0, maximum=2**20)
    sharpness: float = option(
        8.0, "of the smooth maximum in training, at the start", above=0, maximum=2**20
    )
    last_sharpness: float = option(
        40.0, "of the smooth maximum in training, at its end", above=0, maximum=2**20
    )
    exact: float = option(
        0.05, "share of the steps, at the end, with the maximum itself", minimum=0, maximum=1
    )


@dataclass
class SortnetModel(DistanceModel):
    """Layers that weight the sorted distances geometrically; trained by leaving inputs out."""

    decay: float = option(
        0.3, "ratio of the weights of one rank and the next, larger one", minimum=0, below=1
    )


@dataclass
class OrderModel:
    """Layers of weighted order statistics; activation and constraint have no part in it."""

    name: str = REQUIRED
    widths: list[int] = option([512, 512], "hidden widths", minimum=1, maximum=65536)
    radius: float = option(
        0.1, "every input may move by this much while the network is trained", minimum=0
    )
    ramp: float = option(
        0.5, "share of the steps over which the radius grows from 0", minimum=0, maximum=1
    )
    spread: float = option(
        0.0,
        "each example's radius lies between 1 - spread times that radius and the radius, at random",
        minimum=0,
        maximum=1,
    )
    slope: float = option(6.0, "of gates when they are differentiated", above=0, maximum=2**20)
    middle: float = option(
        0.5,
        "taken off every input: where an input is neither low nor high",
        minimum=-(2.0**60),
        maximum=2.0**60,
    )


DISTANCE_MODELS: dict[str, type] = {
    "linf_distance": DistanceModel,
    "sortnet": SortnetModel,
    "order_statistics": OrderModel,
}
"""Options of the group ``model`` in this module."""


def distance_faults(config: Any) -> Iterator[str]:
    """Rules between fields."""
    model: Any = getattr(config, "model", None)
    if getattr(model, "name", None) not in DISTANCE_MODELS:
        return
    if hasattr(model, "last_sharpness") and model.last_sharpness < model.sharpness:
        yield (
            f"model.last_sharpness: found {model.last_sharpness:g}, below model.sharpness="
            f"{model.sharpness:g}; allowed: at least that"
        )
    if getattr(config, "distribution", None) is not None:
        yield f"model: found {model.name}, a classifier; critics of points: mlp, extension"
    training: Any = getattr(config, "training", None)
    if model.name != "order_statistics" or training is None:
        return
    for key, found in (
        ("training.center", training.center),
        ("training.jacobian_penalty", training.jacobian_penalty),
        ("training.adversarial.eps", training.adversarial.eps),
    ):
        if found:
            yield (
                f"{key}: found {found} with model=order_statistics, which is trained for the worst "
                "case within model.radius and has no use for it; leave it out"
            )


def distance_warnings(config: Any) -> Iterator[str]:
    """What is allowed but seldom meant."""
    name = config.model.name
    if config.evaluation.norm == "l2":
        yield (
            f"evaluation.norm=l2 with model={name}, which bounds the L-infinity norm: "
            "certificates will be weak; add evaluation.norm=linf"
        )
    # What conf/train.yaml sets where nothing is said goes unmentioned.
    for group, usual in (("activation", "maxmin"), ("constraint", "orthonormal")):
        found = getattr(config, group).name
        if found != usual:
            yield f"{group}={found} has no effect with model={name}, which has no {group}"
    if config.optimizer.name == "stiefel":
        yield (
            f"optimizer=stiefel with model={name}: no weight moves on the manifold, all move by "
            f"optimizer.rest={config.optimizer.rest} at optimizer.rest_lr="
            f"{config.optimizer.rest_lr:g}: set that, or choose optimizer=adam"
        )
