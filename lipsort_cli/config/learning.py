"""Losses, optimizers and schedules: how a network is trained."""

from __future__ import annotations

from collections.abc import Iterator

from lipsort_cli.config.options import like, node, option
from lipsort_cli.config.registry import Option, choice


@choice("loss", "cross_entropy")
class CrossEntropyLoss(Option):
    """Cross-entropy with temperature and a margin offset.

    Of temperature * (logits - margin * onehot), divided by the temperature.
    """

    temperature: float = option(1.0, "sharpness of the softmax", above=0)
    margin: float = option(0.0, "offset taken from the true logit", minimum=0)


@node
class MarginLoss(Option):
    """A hinge with a margin, in units of logits."""

    margin: float = option(2.0, "difference of logits asked for", above=0)


@choice("loss", "multi_margin")
class MultiMarginLoss(MarginLoss):
    """The paper's hinge over all wrong classes."""


@choice("loss", "worst_class_hinge")
class WorstClassHingeLoss(MarginLoss):
    """Hinge on the strongest wrong class: drives certified accuracy most directly."""

    margin: float = like(MarginLoss, "margin", 3.0)


@choice("loss", "certified_ramp")
class CertifiedRampLoss(Option):
    """Worst-class hinge plus a smooth count of what is not certified."""

    margin: float = option(3.0, "difference of logits asked for", above=0)
    target: float = option(2.25, "margin below which an example counts as missing", above=0)
    sharpness: float = option(0.4, "width of the count's slope, in logits", above=0)
    weight: float = option(1.0, "weight of the count", minimum=0)


@choice("loss", "hkr")
class HkrLoss(Option):
    """Kantorovich-Rubinstein term plus loss.alpha times a hinge."""

    margin: float = option(1.0, "margin of the hinge", above=0)
    alpha: float = option(10.0, "weight of the hinge", minimum=0)


@choice("loss", "logit_annealing")
class LogitAnnealingLoss(Option):
    """Cross-entropy with an offset that an example leaves as it gets ahead (BRONet's)."""

    temperature: float = option(0.75, "softness of the softmax", above=0)
    offset: float = option(2.0, "taken from the true logit", minimum=0)
    focus: float = option(5.0, "power of 1 - p that an example counts with", minimum=0)


@choice("loss", "emma")
class EmmaLoss(Option):
    """Cross-entropy against every class raised by a margin, at most to a tie (LiResNet's)."""

    temperature: float = option(1.0, "sharpness of the softmax", above=0)
    margin: float = option(2.25, "largest raise, in logits", above=0)


@choice("optimizer", "stiefel", presets=("stiefel_critic", "stiefel_subspace"))
class StiefelOptimizer(Option):
    """Steepest descent on the Stiefel manifold; other weights go to optimizer.rest."""

    lr: float = option(0.1, "spectral length of a step", above=0)
    momentum: float = option(0.9, "momentum of the orthonormal weights", minimum=0, below=1)
    polar_steps: int = option(3, "Newton-Schulz steps for the polar factor", minimum=1, maximum=12)
    interval: int = option(1, "steps between moves of orthonormal weights", minimum=1)
    rank: int | None = option(
        None, "dimensions that a step rotates a larger weight in; null: all of them", minimum=2
    )
    rest: str = option("adam", "rule of every other weight", choices=["adam", "sgd", "aggmo"])
    rest_lr: float = option(0.001, "learning rate of every other weight", above=0)
    weight_decay: float = option(0.0, "decay of every other weight", minimum=0)


@node
class AdamSettings(Option):
    """What both of Adam's kinds have."""

    lr: float = option(0.001, "learning rate", above=0)
    beta1: float = option(0.9, "decay of the first moment", minimum=0, below=1)
    beta2: float = option(0.999, "decay of the second moment", minimum=0, below=1)
    weight_decay: float = option(0.0, "decay of weights that are not kept orthonormal", minimum=0)


@choice("optimizer", "stiefel_adam")
class StiefelAdamOptimizer(AdamSettings):
    """Adam on the Stiefel manifold; other weights by plain Adam with the same settings."""


@choice("optimizer", "adam")
class AdamOptimizer(AdamSettings):
    """Adam; constrained weights are projected after each step."""

    bias_lr: float | None = option(
        None, "learning rate of biases and other vectors; null: lr", above=0
    )


@choice("optimizer", "sgd")
class SgdOptimizer(Option):
    """SGD with Nesterov momentum; constrained weights are projected after each step."""

    lr: float = option(0.1, "learning rate", above=0)
    momentum: float = option(0.9, "Nesterov momentum", minimum=0, below=1)
    weight_decay: float = option(0.0, "weight decay", minimum=0)


@choice("optimizer", "aggmo")
class AggmoOptimizer(Option):
    """Aggregated momentum; constrained weights are projected after each step."""

    lr: float = option(0.1, "learning rate", above=0)
    betas: list[float] = option(
        [0.0, 0.9, 0.99], "damping of each velocity", minimum=0, below=1, filled=True
    )
    weight_decay: float = option(0.0, "weight decay", minimum=0)


@node
class Schedule(Option):
    """A learning-rate schedule over the whole run."""

    warmup: float = option(0.0, "share of the steps that ramp up linearly", minimum=0, below=1)


@choice("schedule", "constant")
class ConstantSchedule(Schedule):
    """The same learning rate throughout."""


@choice("schedule", "cosine")
class CosineSchedule(Schedule):
    """Half a cosine from the full learning rate to 0."""


@choice("schedule", "one_cycle")
class OneCycleSchedule(Schedule):
    """Up linearly, then down along a cosine to 0; it brings its own warm-up."""

    def faults(self) -> Iterator[str]:
        if self.warmup > 0:
            yield (
                f"schedule.warmup: found {self.warmup}; schedule=one_cycle brings its own "
                "warm-up: leave it at 0, or choose schedule=cosine"
            )


@choice("schedule", "step")
class StepSchedule(Schedule):
    """Times schedule.gamma at each of schedule.milestones."""

    milestones: list[float] = option(
        [0.5, 0.75], "shares of the run", above=0, below=1, rising=True
    )
    gamma: float = option(0.1, "factor at each milestone", above=0, maximum=1)
