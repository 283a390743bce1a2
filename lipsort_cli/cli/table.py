"""The commands, as data. A command is one line here, one module, one YAML file, one dataclass.

``lipsort X-Y`` runs ``run(config, directory)`` of ``lipsort_cli/commands/x_y.py`` with the
configuration ``conf/x_y.yaml``. A line whose module does not exist is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lipsort_cli.config.tree import config_root

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Command:
    """A command that Hydra configures."""

    name: str
    help: str
    aliases: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    """Commands whose run directories it works on; empty: it makes a run directory of its own."""
    many: bool = False
    """Whether it takes any number of run directories, as ``runs=[...]``."""
    examples: tuple[tuple[str, str], ...] = ()
    """Worked examples for its help page: what it does, and the command line."""

    @property
    def key(self) -> str:
        """Name of its module, its YAML file and, mostly, its dataclass' key."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """Import path of the module that implements it."""
        return f"lipsort_cli.commands.{self.key}"

    @property
    def exists(self) -> bool:
        """Whether it is implemented and configured; asks the file system, imports nothing."""
        module = _PACKAGE / "commands" / f"{self.key}.py"
        return module.is_file() and (config_root() / f"{self.key}.yaml").is_file()


TABLE: tuple[Command, ...] = (
    Command(
        "train",
        "Train a classifier; evaluate it clean, certified and attacked.",
        aliases=("train-classifier",),
        examples=(
            ("The digits, in seconds", "lipsort train"),
            (
                "ReLU beside GroupSort, as a sweep",
                "lipsort train -m activation=relu,maxmin seed=0,1,2",
            ),
            (
                "A narrower network on MNIST with bigger margins",
                "lipsort train data=mnist model.widths=[256,256] loss.margin=4",
            ),
        ),
    ),
    Command(
        "certify",
        "Issue a certificate for a trained run.",
        takes=("train",),
        examples=(
            ("The newest run", "lipsort certify"),
            ("A run, in the L-infinity norm", "lipsort certify outputs/train/DATE/TIME norm=linf"),
            ("For exact real arithmetic", "lipsort certify arithmetic=real"),
        ),
    ),
    Command(
        "attack",
        "Attack a trained run, to sandwich its certificate from above.",
        takes=("train",),
        examples=(
            ("The newest run", "lipsort attack"),
            ("A run by its directory", "lipsort attack outputs/train/DATE/TIME"),
            ("What can be set, as YAML", "lipsort attack --cfg job"),
        ),
    ),
    Command(
        "export",
        "Export a trained run as a plain network.",
        takes=("train",),
        examples=(
            ("The newest run", "lipsort export"),
            ("A run by its directory", "lipsort export outputs/train/DATE/TIME"),
            ("What can be set, as YAML", "lipsort export --cfg job"),
        ),
    ),
    Command(
        "estimate-wasserstein",
        "Bound the Wasserstein-1 distance of two distributions.",
        aliases=("wasserstein",),
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
    ),
    Command(
        "wgan",
        "Train a Wasserstein GAN; say how good its samples are.",
        examples=(
            ("The digits, in seconds", "lipsort wgan"),
            ("MNIST, ten minutes on two cores", "lipsort wgan experiment=wgan_mnist"),
            (
                "Points of the plane, another critic",
                "lipsort wgan data=toy data.pattern=swiss_roll critic=gp",
            ),
        ),
    ),
    Command(
        "inspect",
        "Look inside networks: singular values, gradients, active units.",
        takes=("train", "estimate-wasserstein", "wgan"),
        many=True,
        examples=(
            ("The newest run", "lipsort inspect"),
            ("Two runs side by side; results go to the first", "lipsort inspect A B"),
            ("More points, more pictures", "lipsort inspect A points=200 pictures=12"),
        ),
    ),
    Command(
        "report",
        "Compare runs and sweeps: tables over seeds, plots, Markdown, HTML.",
        many=True,
        examples=(
            ("Everything under outputs", "lipsort report"),
            (
                "A sweep, by its certified accuracy at 1.58",
                "lipsort report outputs/train/DATE/TIME sort=certified_accuracy.l2.1.58",
            ),
            (
                "Rows by activation only, two columns",
                "lipsort report A B group=[activation] columns=[clean_accuracy,train_seconds]",
            ),
        ),
    ),
)


def available() -> list[Command]:
    """The commands that are implemented."""
    return [command for command in TABLE if command.exists]


def find(name: str) -> Command | None:
    """The command that a name or alias stands for, implemented or not."""
    for command in TABLE:
        if name == command.name or name in command.aliases:
            return command
    return None


@dataclass(frozen=True)
class Plain:
    """A command that needs no configuration: ``main(arguments) -> exit code`` of its module."""

    name: str
    help: str

    @property
    def module(self) -> str:
        """Import path of the module that implements it."""
        return f"lipsort_cli.commands.{self.name}"

    @property
    def exists(self) -> bool:
        """Whether it is implemented."""
        return (_PACKAGE / "commands" / f"{self.name}.py").is_file()


PLAIN: tuple[Plain, ...] = (
    Plain("verify", "Re-derive every claim of a certificate, independently."),
    Plain("theory", "Check the theory's claims: what ReLU cannot represent, and MaxMin can."),
    Plain("generalisation", "Bound a trained run's probability of error from its certificate."),
    Plain("reproduce", "Run the paper's experiments; assert their orderings; write one report."),
    Plain("zoo", "List networks, activations, constraints, data sets, presets."),
)
