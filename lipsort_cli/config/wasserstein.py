"""The typed configuration of `lipsort estimate-wasserstein`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any

from lipsort_cli.config.distributions import OF_IMAGES
from lipsort_cli.config.learning import StiefelOptimizer
from lipsort_cli.config.models import ExtensionModel, ImageModel, MlpModel
from lipsort_cli.config.options import MOST_POINTS, REQUIRED, like, node, option
from lipsort_cli.config.registry import COMMANDS, GROUPS, command, commands_of
from lipsort_cli.config.train import LipschitzNetwork, Session, Training, unmatched

_NARROW = 128
"""Dimensions up to which a critic of the default widths sees everything."""


@node
class CriticTraining:
    """How long and on what the critic is trained."""

    steps: int | None = option(
        None,
        "steps at most; auto or null: 1000, with widths that fit high dimensions 300, of finite "
        "samples 600",
        minimum=1,
    )
    batch_size: int = option(256, "points of each side a step", minimum=1, maximum=MOST_POINTS)
    precision: str = like(Training, "precision", "float32")
    center: bool | None = option(
        None,
        "the critic first takes off the training rows' mean; false: its first bias starts there; "
        "null: false for fullsort alone",
    )
    gradient_clip: float | None = like(Training, "gradient_clip", None)
    check_every: int = option(
        100, "steps between looks at the bounds; the last step is always looked at", minimum=1
    )
    check_points: int = option(
        1000, "points a side they are looked at on", minimum=2, maximum=MOST_POINTS
    )
    tolerance: float = option(
        1e-5, "stop when the relative gap to the upper bound is below", minimum=0, below=1
    )
    patience: int = option(
        20, "stop after so many looks that gain less than the tolerance; 0: never", minimum=0
    )
    checkpoint_seconds: float = like(Training, "checkpoint_seconds", 30.0)

    @property
    def total(self) -> int:
        """Steps at most."""
        return 1000 if self.steps is None else self.steps


@node
class WassersteinEvaluation:
    """Which bounds are computed when the critic is trained."""

    points: int = option(
        2000,
        "points a side to bound W1 of (synthetic pairs, generators)",
        minimum=2,
        maximum=MOST_POINTS,
    )
    holdout: float = option(
        0.2, "share of compared rows that the critic never sees (samples)", minimum=0, below=1
    )
    confidence_points: int = option(
        20_000,
        "points a side for the confidence bounds (synthetic pairs, generators; of data at most "
        "the test set)",
        minimum=2,
        maximum=MOST_POINTS,
    )
    bound: str = option(
        "betting",
        "confidence bound that is quoted; all are listed",
        choices=["betting", "bernstein", "hoeffding"],
    )
    transport_points: int = option(
        6500,
        "exact transport up to this many points a side, blocks of 2,000 beyond",
        minimum=2,
        maximum=MOST_POINTS,
    )
    sliced: int = option(
        0, "directions of the sliced distance; 0: none", minimum=0, maximum=MOST_POINTS
    )
    sinkhorn: float | None = option(
        None, "entropic regularisation of a Sinkhorn value, in units of distance", above=0
    )
    certificate: bool = option(True, "write a certificate that `lipsort verify` checks")


@command(
    "estimate-wasserstein",
    aliases=("wasserstein",),
    objective=("lower_bound",),
    measures={"lower": "check.lower"},
    examples=(
        ("The default pair, three cones", "lipsort estimate-wasserstein"),
        (
            "A point against the sphere around it, in 128 dimensions",
            "lipsort estimate-wasserstein distribution=cone distribution.dim=128",
        ),
        (
            "GroupSort and ReLU critics, as a sweep",
            "lipsort estimate-wasserstein -m activation=maxmin,relu",
        ),
    ),
)
@node
class EstimateWassersteinConfig(Session, LipschitzNetwork):
    """Bound the Wasserstein-1 distance of two distributions."""

    distribution: Any = REQUIRED
    norm: str = option("l2", "ground metric", choices=["l2", "linf", "l1"])
    confidence: float = option(0.95, "of the bounds for the populations", above=0, below=1)
    training: CriticTraining = field(default_factory=CriticTraining)
    evaluation: WassersteinEvaluation = field(default_factory=WassersteinEvaluation)

    def fit(self, dim: int, finite: bool) -> list[str]:
        """Choose what is left open, for points of ``dim`` coordinates; what was chosen.

        ``finite``: they are two samples, whose potential follows single points.
        """
        chosen: dict[str, Any] = {}
        wide = False
        if isinstance(self.model, MlpModel) and self.model.fit(dim, self.activation.group):
            chosen["model.widths"] = self.model.widths
            wide = dim > _NARROW
        if wide and isinstance(self.optimizer, StiefelOptimizer) and self.optimizer.rank is None:
            # Between distributions more directions gained nothing and cost several times as much.
            self.optimizer.rank = chosen["optimizer.rank"] = 192 if finite else 64
        if self.training.steps is None and chosen:
            steps = (600 if finite else 300) if wide else self.training.total
            self.training.steps = chosen["training.steps"] = steps
        return [f"{key}={value}".replace(" ", "") for key, value in chosen.items()]

    def faults(self) -> Iterator[str]:
        if isinstance(self.model, ExtensionModel):
            if self.norm != "l2":
                yield (
                    f"norm: found {self.norm} with model=extension, whose distances are L2; "
                    "allowed: l2, or another model with constraint=linf"
                )
            return
        yield from super().faults()
        yield from unmatched(self, self.norm)
        if isinstance(self.model, ImageModel) and self.distribution.name not in OF_IMAGES:
            fitting = [
                name
                for name, kind in GROUPS["model"].items()
                if not issubclass(kind, ImageModel)
                and "estimate-wasserstein" in (commands_of("model", name) or COMMANDS)
            ]
            yield (
                f"model: found {self.model.name}, whose inputs are images, not points; allowed: "
                + ", ".join(sorted(fitting))
            )
