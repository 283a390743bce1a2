"""The typed configuration of `lipsort wgan`: generators, critics, training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any, ClassVar

from lipsort_cli.config.activations import (
    Activation,
    FullsortActivation,
    GroupsortActivation,
    LeakyActivation,
    MaxminActivation,
    ReluActivation,
)
from lipsort_cli.config.constraints import Constraint, NoConstraint, OrthonormalConstraint
from lipsort_cli.config.learning import AdamOptimizer, StiefelAdamOptimizer
from lipsort_cli.config.models import DcganCriticModel, ImageModel, MlpModel
from lipsort_cli.config.options import MOST_POINTS, REQUIRED, like, node, option
from lipsort_cli.config.registry import Option, choice, command
from lipsort_cli.config.train import LipschitzNetwork, Session, Training, undivided, unmatched


@node
class GeneratorBase(Option):
    """What every generator has."""

    latent: int = option(64, "dimension of the noise", minimum=1, maximum=65536)
    output: str = option(
        "auto",
        "last map; auto: sigmoid for data within [0, 1], linear for other data",
        choices=["auto", "sigmoid", "linear"],
    )
    lr: float = option(1e-3, "learning rate of Adam", above=0)
    beta1: float = option(0.5, "decay of the first moment", minimum=0, below=1)
    beta2: float = option(0.9, "decay of the second moment", minimum=0, below=1)


@choice("generator", "dcgan")
class DcganGenerator(GeneratorBase):
    """Transposed convolutions that double the image until it has its size (DCGAN)."""

    channels: int = option(64, "channels before the last doubling", minimum=1, maximum=4096)
    normalisation: str = option(
        "batch", "normalisation of hidden layers", choices=["batch", "none"]
    )


@choice("generator", "mlp")
class MlpGenerator(GeneratorBase):
    """Fully connected generator; the only one for points that are no images."""

    widths: list[int] = option([256, 256], "hidden widths", minimum=1, maximum=65536)
    normalisation: str = like(DcganGenerator, "normalisation", "batch")


# --- critics ----------------------------------------------------------------------------------


@node
class CriticBase(Option):
    """What every critic has."""

    steps: int = option(2, "critic steps a generator step", minimum=1)
    loss: str = option(
        "wasserstein",
        "wasserstein: difference of means; hinge: hinges at 1 and -1",
        choices=["wasserstein", "hinge"],
    )
    channels: list[int] = option(
        [],
        "channels of convolutions that halve the image, before the dense layers; []: none",
        minimum=1,
        maximum=65536,
    )
    widths: list[int] = option([256, 256], "hidden widths", minimum=1, maximum=65536)
    beta1: float = option(0.0, "decay of the first moment", minimum=0, below=1)
    beta2: float = option(0.9, "decay of the second moment", minimum=0, below=1)

    def groups(self) -> dict[str, Option]:
        """The groups of its network: here of ``channels`` and ``widths``, in raw units."""
        kind: Any = DcganCriticModel if self.channels else MlpModel
        model = kind(widths=list(self.widths), lipschitz=getattr(self, "lipschitz", 1.0))
        if self.channels:
            model.channels = list(self.channels)
        return {"model": model}


@node
class KnownCritic(CriticBase):
    """Lipschitz by construction; what model=, activation=, constraint=, optimizer= leave open."""

    lipschitz: float = option(
        1.0, "the critic's Lipschitz constant", minimum=2.0**-20, maximum=2.0**20
    )
    lr: float = option(4e-4, "learning rate of Adam on the Stiefel manifold", above=0)

    def groups(self) -> dict[str, Option]:
        return super().groups() | {
            "activation": ReluActivation(),
            "constraint": OrthonormalConstraint(),
            "optimizer": StiefelAdamOptimizer(lr=self.lr, beta1=self.beta1, beta2=self.beta2),
        }


@choice("critic", "relu")
class ReluCritic(KnownCritic):
    """Lipschitz by construction: orthonormal weights with ReLU; the paper's comparison."""


@choice("critic", "groupsort")
class GroupSortCritic(KnownCritic):
    """Lipschitz by construction, norm-preserving: orthonormal weights, sorting activations."""

    activation: str = option(
        "fullsort", "which sorting activation", choices=["maxmin", "groupsort", "fullsort"]
    )
    group_size: int = option(4, "features a group (activation: groupsort)", minimum=2)

    def groups(self) -> dict[str, Option]:
        sorting = {
            "maxmin": MaxminActivation(),
            "groupsort": GroupsortActivation(group_size=self.group_size),
            "fullsort": FullsortActivation(),
        }
        return super().groups() | {"activation": sorting[self.activation]}


@choice("critic", "lipschitz")
class LipschitzCritic(GroupSortCritic):
    """Lipschitz by construction: any network of model=, activation=, constraint=, optimizer=.

    What of these is not chosen is as critic=groupsort has it.
    """


@node
class FreeCritic(CriticBase):
    """What the critics have whose constant is not known beforehand."""

    lr: float = option(2e-4, "learning rate of Adam", above=0)
    slope: float = option(0.2, "slope of leaky ReLU below zero", minimum=0, maximum=1)

    def groups(self) -> dict[str, Option]:
        return super().groups() | {
            "activation": LeakyActivation(slope=self.slope),
            "constraint": NoConstraint(),
            "optimizer": AdamOptimizer(lr=self.lr, beta1=self.beta1, beta2=self.beta2),
        }


@choice("critic", "clip")
class ClipCritic(FreeCritic):
    """Weight clipping (the first WGAN); its constant is whatever the clipped weights allow.

    Weights are clipped to [-clip, clip] after each step (Arjovsky et al. 2017).
    """

    clip: float = option(0.01, "largest absolute weight", above=0)


@choice("critic", "gp")
class GradientPenaltyCritic(FreeCritic):
    """Gradient penalty (WGAN-GP); no bound on its constant beyond that of its weights.

    On gradient norms other than 1, between real and generated points.
    """

    penalty: float = option(10.0, "weight of the penalty", above=0)


@choice("critic", "sn")
class SpectralNormCritic(FreeCritic):
    """Spectral normalisation by power iteration (SNGAN), torch's; a little above its constant."""

    iterations: int = option(1, "power iterations a step", minimum=1)
    lipschitz: float = option(1.0, "factor of the output", minimum=2.0**-20, maximum=2.0**20)


# --- the network of a Lipschitz critic ----------------------------------------------------------


@choice("model", "preset", commands=("wgan",))
class PresetModel(Option):
    """As critic= has it: critic.channels, critic.widths, critic.lipschitz."""


@choice("activation", "preset", commands=("wgan",))
class PresetActivation(Activation):
    """As critic= has it."""


@choice("constraint", "preset", commands=("wgan",))
class PresetConstraint(Constraint):
    """As critic= has it: orthonormal."""

    norm: ClassVar[str | None] = None


@choice("optimizer", "preset", commands=("wgan",))
class PresetOptimizer(Option):
    """As critic= has it: Adam on the Stiefel manifold, critic.lr, critic.beta1, critic.beta2."""


_READ_FROM_CRITIC = {
    "model": ("channels", "widths", "lipschitz"),
    "activation": ("activation", "group_size"),
    "constraint": (),
    "optimizer": ("lr", "beta1", "beta2"),
}
"""Keys of a critic that a group replaces once it is chosen."""


# --- the command ------------------------------------------------------------------------------


@node
class GanTraining:
    """How long the two networks are trained, and what is shown on the way."""

    steps: int = option(2000, "generator steps at most", minimum=1)
    seconds: float | None = option(
        None,
        "stop after so much training time; schedules and film follow the clock, so that weights "
        "depend on the machine's speed; null: steps only",
        above=0,
    )
    batch_size: int = option(128, "examples a step of either network", minimum=2)
    precision: str = like(Training, "precision", "auto")
    gradient_clip: float | None = like(Training, "gradient_clip", None)
    average: float = option(
        0.999, "decay of the averaged generator weights; 0: the last ones", minimum=0, below=1
    )
    frames: int = option(
        24, "sample grids over the run, which make the film", minimum=1, maximum=1000
    )
    log_every: int = like(Training, "log_every", 50)
    checkpoint_seconds: float = like(Training, "checkpoint_seconds", 30.0)


@node
class GanEvaluation:
    """How the generator is judged at the end."""

    samples: int = option(
        10_000, "generated samples that are judged", minimum=20, maximum=MOST_POINTS
    )
    classifier: str | None = option(
        None,
        "run whose classifier gives features: of `lipsort train`, or of `lipsort wgan`; null: "
        "train a small one",
        path=True,
    )
    sliced: int = option(500, "lines of the sliced distance", minimum=2, maximum=MOST_POINTS)
    neighbours: int = option(
        3, "neighbours that span the manifolds of precision and recall", minimum=1, maximum=1000
    )
    critic_steps: int = option(
        200, "training steps of the fresh critic that bounds W1; 0: no such bounds", minimum=0
    )
    transport_points: int = option(
        2000, "samples a side of exact transport; 0: none", minimum=0, maximum=MOST_POINTS
    )
    confidence: float = option(0.95, "of the bound for the distributions", above=0, below=1)
    certificate: bool = option(
        True, "write a certificate of the fresh critic's bound, which `lipsort verify` checks"
    )


@command(
    "wgan",
    objective=("quality.measures.w1_transport.generated",),
    examples=(
        ("The digits, in a minute", "lipsort wgan"),
        ("MNIST, ten minutes on two cores", "lipsort wgan experiment=wgan_mnist"),
        (
            "Points of the plane, another critic",
            "lipsort wgan data=toy data.pattern=swiss_roll critic=gp",
        ),
    ),
)
@node
class WganConfig(Session, LipschitzNetwork):
    """Train a Wasserstein GAN; say how good its samples are."""

    data: Any = REQUIRED
    generator: Any = REQUIRED
    critic: Any = REQUIRED
    norm: str = option("l2", "ground metric of a Lipschitz critic", choices=["l2", "linf", "l1"])
    training: GanTraining = field(default_factory=GanTraining)
    evaluation: GanEvaluation = field(default_factory=GanEvaluation)

    def network(self) -> LipschitzNetwork:
        """The groups of a Lipschitz critic, with what ``critic`` says for those not chosen."""
        chosen = {group: getattr(self, group) for group in _READ_FROM_CRITIC}
        chosen = {group: node for group, node in chosen.items() if node.name != "preset"}
        return LipschitzNetwork(**(self.critic.groups() | chosen), schedule=self.schedule)

    def faults(self) -> Iterator[str]:
        critic = self.critic
        if isinstance(critic, KnownCritic):
            yield from self._of_network(self.network())
        else:
            yield from self._without_groups()
        if not (critic.widths or critic.channels):
            yield "critic.widths: found [] with critic.channels=[]; allowed: at least one layer"
        if self.data.name != "toy":
            return
        if critic.channels and self.model.name == "preset":
            yield (
                f"critic.channels: found {critic.channels} with data=toy, whose points are no "
                "images; allowed: []"
            )
        if isinstance(self.model, ImageModel):
            yield (
                f"model: found {self.model.name} with data=toy, whose points are no images; choose "
                "model=mlp"
            )
        if self.generator.name == "dcgan":
            yield (
                "generator: found dcgan with data=toy, whose points are no images; choose "
                "generator=mlp"
            )

    def _of_network(self, network: LipschitzNetwork) -> Iterator[str]:
        if self.model.name == "preset":
            group = "critic.activation" if self.activation.name == "preset" else "activation"
            whose = f"{group}={network.activation.name}"
            for key in ("channels", "widths"):
                widths = getattr(self.critic, key)
                yield from undivided(f"critic.{key}", widths, network.activation.group, whose)
        else:
            yield from network.faults()
        yield from unmatched(network, self.norm)

    def _without_groups(self) -> Iterator[str]:
        for group in _READ_FROM_CRITIC:
            found = getattr(self, group).name
            if found != "preset":
                yield (
                    f"{group}: found {found} with critic={self.critic.name}, whose network is its "
                    "own (critic.channels, critic.widths); leave it out, or choose critic=lipschitz"
                )
        if self.norm != "l2":
            yield (
                f"norm: found {self.norm} with critic={self.critic.name}, whose constant is not "
                "known; leave it out, or choose critic=lipschitz"
            )

    def warnings(self) -> Iterator[str]:
        if not isinstance(self.critic, KnownCritic):
            return
        yield from self.network().warnings()
        usual = type(self.critic)()
        for group, keys in _READ_FROM_CRITIC.items():
            chosen = getattr(self, group).name
            for key in keys if chosen != "preset" else ():
                value = getattr(self.critic, key, None)
                if value != getattr(usual, key, None):
                    yield f"critic.{key}={value} has no effect with {group}={chosen}"
