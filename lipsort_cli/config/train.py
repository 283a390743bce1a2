"""The typed configuration of `lipsort train`, and what it shares with other commands that train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any

from lipsort_cli.config.certificates import OnClassifier
from lipsort_cli.config.constraints import of_norm
from lipsort_cli.config.distance import FixedLinfModel, OrderModel
from lipsort_cli.config.learning import StiefelOptimizer
from lipsort_cli.config.models import EnsembleModel, ImageModel, ResidualCnnModel
from lipsort_cli.config.options import LARGEST_SEED, MOST_THREADS, REQUIRED, like, node, option
from lipsort_cli.config.registry import command

# --- what every training command shares -------------------------------------------------------


@node
class Session:
    """What every command that trains has."""

    seed: int = option(
        0, "seeds weights, samples, noise and order", minimum=0, maximum=LARGEST_SEED
    )
    device: str = option(
        "auto", "auto, cpu, cuda, cuda:N, mps", pattern=r"auto|cpu|mps|cuda(:\d+)?"
    )
    threads: int = option(0, "CPU threads; 0: chosen for you", minimum=0, maximum=MOST_THREADS)
    tracker: list[str] = option(
        [],
        "also log to these: tensorboard, mlflow, wandb (offline); each an extra of its name",
        choices=["tensorboard", "mlflow", "wandb"],
        distinct=True,
    )
    resume: str | None = option(None, "continue this interrupted run directory")
    plugins: list[str] = option([], "modules of your own that add options: docs/extend.md")
    objective: Any = option(
        None, "figure that a sweeper optimizes, or a list of them; null: the command's own"
    )


@node
class LipschitzNetwork:
    """The groups that make a network of known constant."""

    model: Any = REQUIRED
    activation: Any = REQUIRED
    constraint: Any = REQUIRED
    optimizer: Any = REQUIRED
    schedule: Any = REQUIRED

    def faults(self) -> Iterator[str]:
        """Rules between the groups."""
        if not isinstance(self.model, FixedLinfModel):
            group, whose = self.activation.group, f"activation={self.activation.name}"
            for key in ("channels", "widths"):
                widths = getattr(self.model, key, None) or []
                yield from undivided(f"model.{key}", widths, group, whose)
        if isinstance(self.model, ImageModel) and self.constraint.name == "mixed":
            yield (
                f"constraint: found mixed with model={self.model.name}; the class from L2 to "
                "L-infinity is one of dense layers: choose model=mlp"
            )
        if isinstance(self.model, ResidualCnnModel) and self.activation.name == "maxout":
            yield (
                "activation: found maxout with model=residual_cnn, whose blocks keep the number of "
                "channels; maxout divides it: choose maxmin or groupsort"
            )

    def warnings(self) -> Iterator[str]:
        """Keys that this combination of options does not read."""
        name, optimizer = self.constraint.name, self.optimizer
        if isinstance(optimizer, StiefelOptimizer) and name != "orthonormal":
            yield (
                f"optimizer=stiefel with constraint={name}: no weight moves on the manifold, all "
                f"move by optimizer.rest={optimizer.rest} at optimizer.rest_lr="
                f"{optimizer.rest_lr:g}; optimizer.lr, momentum, polar_steps, interval and rank "
                "have no effect: set optimizer.rest_lr, or choose optimizer=adam"
            )
        if isinstance(self.model, ImageModel) and name != "orthonormal":
            found = self.model.convolution
            if found != type(self.model).convolution:
                yield (
                    f"model.convolution={found} has no effect with constraint={name}; it chooses "
                    "between the kernels of constraint=orthonormal"
                )


def undivided(key: str, widths: list[int], size: int, whose: str) -> Iterator[str]:
    """Widths that cannot be split into groups of ``size`` features."""
    for position, width in enumerate(widths):
        if size > 1 and width % size:
            lower = width - width % size
            nearest = f"{lower} or {lower + size}" if lower else f"{size}"
            yield (
                f"{key}[{position}]: found {width}, which {whose} cannot "
                f"split into groups of {size}; nearest: {nearest}"
            )


_APART = ("maxmin", "groupsort", "relu", "leaky_relu", "absolute_value", "identity")
"""Activations that commute with positive factors and keep groups of features apart."""

# --- lipsort train ----------------------------------------------------------------------------


@node
class Augmentation:
    """Random changes of training images; all zero leaves the images as they are."""

    shift: float = option(0.0, "largest translation, in pixels", minimum=0)
    rotation: float = option(0.0, "largest rotation, in degrees", minimum=0, maximum=180)
    zoom: float = option(0.0, "largest relative change of size", minimum=0, below=1)
    shear: float = option(0.0, "largest shear", minimum=0, maximum=1)
    elastic: float = option(0.0, "largest displacement of an elastic deformation", minimum=0)
    sampling: str = option(
        "bilinear",
        "how moved images are read between pixels: nearest keeps every level, bilinear smooths",
        choices=["bilinear", "nearest"],
    )
    crop: int = option(
        0, "largest shift by whole pixels, without smoothing", minimum=0, maximum=1024
    )
    flip: bool = option(False, "mirror half of the images left to right")
    plain: float = option(
        0.0,
        "share of the epochs, the last, whose images are mirrored at most",
        minimum=0,
        maximum=1,
    )

    @property
    def moves(self) -> bool:
        """Whether images are read between pixels."""
        return any((self.shift, self.rotation, self.zoom, self.shear, self.elastic))


@node
class Adversarial:
    """Training on inputs that PGD moves against the network (Madry et al., ICLR 2018)."""

    eps: float | None = option(None, "radius, in raw input units; null: clean inputs", above=0)
    norm: str = option("linf", "norm of the radius", choices=["l2", "linf"])
    steps: int = option(7, "gradient steps of each attack", minimum=1)


@node
class Training:
    """The training loop."""

    epochs: int = option(40, "passes over the training set", minimum=1)
    batch_size: int = option(256, "examples a step, over all processes", minimum=1)
    precision: str = option(
        "auto",
        "matrix products while training; what is judged or proven is never computed in it",
        choices=["auto", "float32", "bfloat16"],
    )
    center: bool = option(
        False, "the network first takes off the training set's mean of each channel"
    )
    gradient_clip: float | None = option(None, "largest gradient norm; null: no limit", above=0)
    adversarial: Adversarial = field(default_factory=Adversarial)
    jacobian_penalty: float = option(
        0.0, "weight of the mean of the Jacobian's norm in the loss", minimum=0
    )
    jacobian_norm: str = option(
        "frobenius",
        "which: squared Frobenius norm, by a random projection; spectral norm, by power iteration",
        choices=["frobenius", "spectral"],
    )
    keep: str = option(
        "last",
        "weights kept: the last; or those of the epoch that the validation set did best after",
        choices=["last", "best"],
    )
    checkpoint_seconds: float = option(30.0, "longest time between checkpoints", minimum=0)
    log_every: int = option(50, "steps between logged metrics", minimum=1)
    diagnostics_every: int = option(
        0, "steps between logged Jacobian, gradient norms and active units; 0: never", minimum=0
    )
    diagnostics_points: int = option(32, "points they are measured at", minimum=1, maximum=4096)


@node
class Attack:
    """Projected gradient descent at the end of a run."""

    points: int | None = option(None, "test points attacked; null: all, 0: none", minimum=0)
    steps: int = option(20, "gradient steps", minimum=1)
    restarts: int = option(1, "random starts", minimum=1)


@node
class Evaluation:
    """What is measured at the end of a run, on the test set."""

    norm: str = option("l2", "norm of the perturbation", choices=["l2", "linf", "l1"])
    eps: list[float] = option(
        [0.1, 0.3, 0.5, 1.0], "radii, in raw input units", above=0, filled=True, rising=True
    )
    arithmetic: str = like(
        OnClassifier, "arithmetic", "binary32", "what the certified radii hold for"
    )
    attack: Attack = field(default_factory=Attack)


@command(
    "train",
    aliases=("train-classifier",),
    objective=("validation.certified_accuracy_estimate", "validation.accuracy"),
    measures={
        "certified": "validation.certified_accuracy_estimate",
        "clean": "validation.accuracy",
    },
    examples=(
        ("The digits, in seconds", "lipsort train"),
        ("ReLU beside GroupSort, as a sweep", "lipsort train -m activation=relu,maxmin seed=0,1,2"),
        (
            "A narrower network on MNIST with bigger margins",
            "lipsort train data=mnist model.widths=[256,256] loss.margin=4",
        ),
    ),
)
@node
class TrainConfig(Session, LipschitzNetwork):
    """Train a classifier; certify it and attack it."""

    data: Any = REQUIRED
    loss: Any = REQUIRED
    augmentation: Augmentation = field(default_factory=Augmentation)
    start: str | None = option(
        None, "run whose weights training starts from: the same layers; null: none", path=True
    )
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        moves = self.augmentation
        if moves.sampling == "nearest" and not moves.moves:
            yield (
                "augmentation.sampling: found nearest with nothing that moves between pixels; set "
                "augmentation.shift, rotation, zoom, shear or elastic, or leave it at bilinear"
            )
        if moves.plain and not (moves.moves or moves.crop):
            yield (
                f"augmentation.plain: found {moves.plain} with nothing that moves images; set "
                "augmentation.crop, shift, rotation, zoom, shear or elastic, or leave it at 0"
            )
        if isinstance(self.model, EnsembleModel):
            if self.constraint.name != "orthonormal":
                yield (
                    f"constraint: found {self.constraint.name} with model=ensemble, whose mean is "
                    "made of orthonormal weights; allowed: orthonormal"
                )
            if self.activation.name not in _APART:
                yield (
                    f"activation: found {self.activation.name} with model=ensemble, whose members "
                    f"lie side by side; allowed: {', '.join(_APART)}"
                )
        if not isinstance(self.model, OrderModel):
            return
        for key, found in (
            ("training.center", self.training.center),
            ("training.jacobian_penalty", self.training.jacobian_penalty),
            ("training.adversarial.eps", self.training.adversarial.eps),
        ):
            if found:
                yield (
                    f"{key}: found {found} with model=order_statistics, which is trained for the "
                    "worst case within model.radius and has no use for it; leave it out"
                )

    def warnings(self) -> Iterator[str]:
        if isinstance(self.model, FixedLinfModel):
            yield from self._without_groups()
            return
        norm, constraint = self.evaluation.norm, self.constraint
        if norm == "linf" and constraint.norm == "l2":
            yield (
                f"evaluation.norm=linf with constraint={constraint.name}, which bounds the L2 "
                "norm: radii are those in L2 divided by the root of the number of inputs; "
                "constraint=linf is made for L-infinity"
            )
        if norm == "l2" and constraint.norm == "linf":
            yield (
                "evaluation.norm=l2 with constraint=linf, which bounds the L-infinity norm: "
                "certificates will be weak; add evaluation.norm=linf"
            )
        if constraint.norm is None:
            yield (
                "constraint=none: the network's Lipschitz constant is whatever training makes it; "
                "certificates will be weak"
            )
        yield from super().warnings()

    def _without_groups(self) -> Iterator[str]:
        """Groups that have no part in a network of fixed constant in L-infinity."""
        name, optimizer = self.model.name, self.optimizer
        if self.evaluation.norm == "l2":
            yield (
                f"evaluation.norm=l2 with model={name}, which bounds the L-infinity norm: "
                "certificates will be weak; add evaluation.norm=linf"
            )
        # What conf/train.yaml sets where nothing is said goes unmentioned.
        for group, usual in (("activation", "maxmin"), ("constraint", "orthonormal")):
            found = getattr(self, group).name
            if found != usual:
                yield f"{group}={found} has no effect with model={name}, which has no {group}"
        if isinstance(optimizer, StiefelOptimizer):
            yield (
                f"optimizer=stiefel with model={name}: no weight moves on the manifold, all move "
                f"by optimizer.rest={optimizer.rest} at optimizer.rest_lr={optimizer.rest_lr:g}: "
                "set that, or choose optimizer=adam"
            )


def unmatched(critic: LipschitzNetwork, norm: str) -> Iterator[str]:
    """Groups that do not bound a critic's constant in the ground metric ``norm``."""
    fitting = of_norm("l2" if norm == "l2" else "linf")
    if critic.constraint.name not in fitting:
        yield (
            f"constraint: found {critic.constraint.name} with norm={norm}; a critic that is "
            f"1-Lipschitz in this norm needs constraint={' or '.join(fitting)} (linf bounds rows "
            "for norm=linf and columns for norm=l1)"
        )
    if isinstance(critic.model, ImageModel) and norm != "l2":
        yield (
            f"norm: found {norm} with model={critic.model.name}; convolutional critics are for "
            "norm=l2"
        )
