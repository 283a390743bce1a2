"""Networks of order statistics: 1-Lipschitz in L-infinity whatever their weights."""

from __future__ import annotations

from collections.abc import Iterator

from lipsort_cli.config.options import like, node, option
from lipsort_cli.config.registry import Option, choice


@node
class FixedLinfModel(Option):
    """Networks in which activation and constraint have no part."""

    widths: list[int] = option([512], "hidden widths", minimum=1, maximum=65536)


@node
class DistanceModel(FixedLinfModel):
    """Layers of L-infinity distances."""

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

    def faults(self) -> Iterator[str]:
        """The smooth maximum must not become softer."""
        if self.last_sharpness < self.sharpness:
            yield (
                f"model.last_sharpness: found {self.last_sharpness:g}, below model.sharpness="
                f"{self.sharpness:g}; allowed: at least that"
            )


@choice("model", "linf_distance", commands=("train",))
class LinfDistanceModel(DistanceModel):
    """L-infinity distances from learnt points (l-infinity-distance network)."""


@choice("model", "sortnet", commands=("train",))
class SortnetModel(DistanceModel):
    """Sorted distances, weighted geometrically (SortNet): 1-Lipschitz in L-infinity.

    Trained by leaving inputs out.
    """

    decay: float = option(
        0.3, "ratio of the weights of one rank and the next, larger one", minimum=0, below=1
    )


@choice("model", "order_statistics", commands=("train",))
class OrderModel(FixedLinfModel):
    """Weighted order statistics in L-infinity: binary gates that hold at every level at once."""

    filters: int = option(
        0,
        "statistics of each window of pixels, with the same votes in all, before the widths; "
        "0: none",
        minimum=0,
        maximum=65536,
    )
    side: int = option(7, "of such a window, in pixels", minimum=1, maximum=1024)
    stride: int = option(3, "pixels from one window to the next", minimum=1, maximum=1024)
    widths: list[int] = like(FixedLinfModel, "widths", [512, 512])
    members: int = option(
        1, "networks, each trained by itself, whose votes are added up", minimum=1, maximum=64
    )
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
    slack: float = option(
        0.0,
        "gates nearer to their threshold, in deviations, are in doubt in training; 0.01 keeps "
        "filters off it",
        minimum=0,
        maximum=2**20,
    )
    middle: float = option(
        0.5,
        "taken off every input: where an input is neither low nor high",
        minimum=-(2.0**60),
        maximum=2.0**60,
    )

    def faults(self) -> Iterator[str]:
        """Windows are those of filters, and members need a layer in which to differ."""
        if self.members > 1 and not (self.filters or self.widths):
            yield (
                f"model.members: found {self.members}, with model.widths=[] and no filters; "
                "allowed: 1, or give a hidden layer, in which they differ"
            )
        for key in ("side", "stride"):
            found = getattr(self, key)
            if not self.filters and found != getattr(OrderModel, key):
                yield f"model.{key}: found {found}, and no windows; give model.filters=16 or so"
