"""The typed configuration of every command: one dataclass a node, one table of groups.

A group is a folder of ``conf/``; its options are that folder's files, each typed by the dataclass
named in :data:`GROUPS`. Ranges live in the fields' metadata (:mod:`lipsort_cli.config.options`);
rules between fields live in :mod:`lipsort_cli.config.validate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lipsort_cli.config.certificates import AttackConfig, CertifyConfig, ExportConfig
from lipsort_cli.config.constraints import CONSTRAINTS
from lipsort_cli.config.data import DATA_SETS
from lipsort_cli.config.distance import DISTANCE_MODELS
from lipsort_cli.config.distributions import DISTRIBUTIONS
from lipsort_cli.config.gan import CRITICS, GENERATORS, WganConfig
from lipsort_cli.config.inspect import InspectConfig
from lipsort_cli.config.learning import (
    AdamOptimizer,
    AggmoOptimizer,
    CertifiedRampLoss,
    CrossEntropyLoss,
    HkrLoss,
    MarginLoss,
    Schedule,
    SgdOptimizer,
    StepSchedule,
    StiefelAdamOptimizer,
    StiefelOptimizer,
)
from lipsort_cli.config.models import IMAGE_MODELS
from lipsort_cli.config.options import LARGEST_SEED, MOST_THREADS, REQUIRED, option
from lipsort_cli.config.report import ReportConfig
from lipsort_cli.config.wasserstein import EstimateWassersteinConfig, ExtensionModel

# --- model, activation ------------------------------------------------------------------------


@dataclass
class MlpModel:
    """Fully connected network."""

    name: str = "mlp"
    widths: list[int] = option([256, 256, 256], "hidden widths", minimum=1, maximum=65536)
    bias: bool = option(True, "dense layers have a bias")
    dropout: float = option(0.0, "dropout after each activation", minimum=0, below=1)
    lipschitz: float = option(
        1.0, "the network is scaled to this constant", minimum=2.0**-60, maximum=2.0**60
    )


@dataclass
class Activation:
    """An activation without parameters."""

    name: str = REQUIRED


@dataclass
class GroupedActivation:
    """An activation over contiguous groups of features."""

    name: str = REQUIRED
    group_size: int = option(4, "features a group", minimum=2)


@dataclass
class LeakyActivation:
    """Leaky ReLU."""

    name: str = "leaky_relu"
    slope: float = option(0.01, "slope below zero", minimum=-1, maximum=1)


# --- what every training command shares -------------------------------------------------------


@dataclass
class Augmentation:
    """Random changes of training images; all zero leaves the images as they are."""

    shift: float = option(0.0, "largest translation, in pixels", minimum=0)
    rotation: float = option(0.0, "largest rotation, in degrees", minimum=0, maximum=180)
    zoom: float = option(0.0, "largest relative change of size", minimum=0, below=1)
    shear: float = option(0.0, "largest shear", minimum=0, maximum=1)
    crop: int = option(
        0, "largest shift by whole pixels, without smoothing", minimum=0, maximum=1024
    )
    flip: bool = option(False, "mirror half of the images left to right")


@dataclass
class Adversarial:
    """Training on inputs that PGD moves against the network (Madry et al., ICLR 2018)."""

    eps: float | None = option(None, "radius, in raw input units; null: clean inputs", above=0)
    norm: str = option("linf", "norm of the radius", choices=["l2", "linf"])
    steps: int = option(7, "gradient steps of each attack", minimum=1)


@dataclass
class Training:
    """The training loop."""

    epochs: int = option(30, "passes over the training set", minimum=1)
    batch_size: int = option(256, "examples a step, over all processes", minimum=1)
    precision: str = option(
        "auto",
        "matrix products while training; certificates are never computed in it",
        choices=["auto", "float32", "bfloat16"],
    )
    center: bool = option(
        False, "the network first takes off the training set's mean of each channel"
    )
    gradient_clip: float | None = option(None, "largest gradient norm; null: no limit", above=0)
    adversarial: Adversarial = field(default_factory=Adversarial)
    jacobian_penalty: float = option(
        0.0, "weight of the Jacobian's mean squared Frobenius norm in the loss", minimum=0
    )
    checkpoint_seconds: float = option(30.0, "longest time between checkpoints", minimum=0)
    log_every: int = option(50, "steps between logged metrics", minimum=1)
    diagnostics_every: int = option(
        0, "steps between logged Jacobian, gradient norms and active units; 0: never", minimum=0
    )
    diagnostics_points: int = option(32, "points they are measured at", minimum=1, maximum=4096)


@dataclass
class Attack:
    """Projected gradient descent at the end of a run."""

    points: int | None = option(None, "test points attacked; null: all, 0: none", minimum=0)
    steps: int = option(20, "gradient steps", minimum=1)
    restarts: int = option(1, "random starts", minimum=1)


@dataclass
class Evaluation:
    """What is measured at the end of a run, on the test set."""

    norm: str = option("l2", "norm of the perturbation", choices=["l2", "linf"])
    eps: list[float] = option([0.1, 0.3, 0.5, 1.0], "radii, in raw input units", above=0)
    arithmetic: str = option(
        "binary32",
        "what the certified radii hold for",
        choices=["real", "binary64", "binary32"],
    )
    attack: Attack = field(default_factory=Attack)


@dataclass
class TrainConfig:
    """`lipsort train`."""

    data: Any = REQUIRED
    model: Any = REQUIRED
    activation: Any = REQUIRED
    constraint: Any = REQUIRED
    loss: Any = REQUIRED
    optimizer: Any = REQUIRED
    schedule: Any = REQUIRED
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    seed: int = option(0, "seeds weights, order and augmentation", minimum=0, maximum=LARGEST_SEED)
    device: str = option("auto", "auto, cpu, cuda, cuda:N, mps")
    threads: int = option(
        0, "CPU threads; 0: by the size of the network", minimum=0, maximum=MOST_THREADS
    )
    tensorboard: bool = option(False, "also write TensorBoard event files")
    resume: str | None = option(None, "continue this interrupted run directory")


# --- groups: conf/<group>/<option>.yaml is typed by the dataclass beside it -------------------

GROUPS: dict[str, dict[str, type]] = {
    "data": DATA_SETS,
    "model": {
        "mlp": MlpModel,
        "mlp_critic": MlpModel,
        "extension": ExtensionModel,
        **IMAGE_MODELS,
        **DISTANCE_MODELS,
    },
    "activation": {
        "maxmin": Activation,
        "groupsort": GroupedActivation,
        "fullsort": Activation,
        "relu": Activation,
        "leaky_relu": LeakyActivation,
        "absolute_value": Activation,
        "maxout": GroupedActivation,
        "tanh": Activation,
        "sigmoid": Activation,
        "identity": Activation,
    },
    "constraint": CONSTRAINTS,
    "loss": {
        "cross_entropy": CrossEntropyLoss,
        "multi_margin": MarginLoss,
        "worst_class_hinge": MarginLoss,
        "certified_ramp": CertifiedRampLoss,
        "hkr": HkrLoss,
    },
    "optimizer": {
        "stiefel": StiefelOptimizer,
        "stiefel_critic": StiefelOptimizer,
        "adam": AdamOptimizer,
        "sgd": SgdOptimizer,
        "aggmo": AggmoOptimizer,
        "stiefel_adam": StiefelAdamOptimizer,
    },
    "schedule": {
        "constant": Schedule,
        "cosine": Schedule,
        "one_cycle": Schedule,
        "step": StepSchedule,
    },
    "distribution": DISTRIBUTIONS,
    "generator": GENERATORS,
    "critic": CRITICS,
}

COMMANDS: dict[str, type] = {
    "train": TrainConfig,
    "certify": CertifyConfig,
    "attack": AttackConfig,
    "export": ExportConfig,
    "inspect": InspectConfig,
    "report": ReportConfig,
    "estimate-wasserstein": EstimateWassersteinConfig,
    "wgan": WganConfig,
}
"""Primary configuration ``conf/<command>.yaml`` of every Hydra command."""
