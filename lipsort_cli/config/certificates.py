"""Typed configuration of the commands that work on a trained run's network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any

from lipsort_cli.config.data import FolderData, TableOptions
from lipsort_cli.config.options import LARGEST_SEED, REQUIRED, like, node, option
from lipsort_cli.config.registry import Option, command

ARITHMETIC_NAMES = ("real", "binary64", "binary32")
REFUSED_ARITHMETICS = {
    name: f"{name} keeps so few bits, in ways that differ between devices, that no radius can be "
    "proven for it"
    for name in ("tf32", "TF32", "bf16", "bfloat16", "fp16", "float16", "half")
}
"""Arithmetics that people ask for, with the reason why there is no certificate for them."""

DEFAULT_EPS = {
    "l2": [0.1, 0.3, 0.5, 1.0],
    "linf": [0.01, 0.03, 0.1, 0.3],
    "l1": [0.1, 0.3, 1.0, 3.0],
}
"""Radii, in raw input units, for a norm that the run itself was not evaluated in."""


@node
class OnRun:
    """What commands share that work on a run."""

    run: str = option(REQUIRED, "directory of the run")
    data: Any = None


@node
class OnClassifier(OnRun):
    """What those share that certify answers of a run's network."""

    norm: str | None = option(
        None,
        "norm of the perturbation; null: that of the run's evaluation",
        choices=["l2", "linf", "l1"],
    )
    arithmetic: str | None = option(
        None,
        "how the network is evaluated, in any summation order; null: as in the run's evaluation",
        choices=ARITHMETIC_NAMES,
        refused=REFUSED_ARITHMETICS,
    )


@command(
    "certify",
    takes=("train", "estimate-wasserstein", "wgan", "import"),
    examples=(
        ("The newest run", "lipsort certify"),
        ("A run, in the L-infinity norm", "lipsort certify outputs/train/DATE/TIME norm=linf"),
        ("For exact real arithmetic", "lipsort certify arithmetic=real"),
    ),
)
@node
class CertifyConfig(OnClassifier):
    """Issue a certificate for a run.

    Of a classifier the radii of its test points, of a critic the distance that it proves between
    the run's two samples.
    """

    eps: list[float] | None = option(
        None,
        "radii whose counts are stated; null: the run's own, in its own norm",
        above=0,
        filled=True,
        rising=True,
    )
    points: int = option(
        0, "test points (of a critic: points of each sample) covered; 0: all", minimum=0
    )
    replace: bool = option(False, "overwrite a certificate of another claim in the same folder")


_OWN_METHODS = ["fgsm", "pgd", "deepfool", "rounding"]
_FORMATS = ["safetensors", "onnx", "torch_export"]


@command(
    "attack",
    takes=("train", "import"),
    senseless="an attack looks for inputs that change the predicted class, and a critic has none",
    examples=(
        ("The newest run", "lipsort attack"),
        ("A run by its directory", "lipsort attack outputs/train/DATE/TIME"),
        ("What can be set, as YAML", "lipsort attack --cfg job"),
    ),
)
@node
class AttackConfig(OnClassifier):
    """Attack a trained run, to sandwich its certificate from above."""

    methods: list[str] = option(
        _OWN_METHODS,
        "adversaries; the last four need the extra 'attacks'",
        choices=[*_OWN_METHODS, "autoattack", "foolbox", "carlini_wagner", "boundary"],
        filled=True,
        distinct=True,
    )
    eps: list[float] | None = like(
        CertifyConfig,
        "eps",
        None,
        "radii of FGSM, PGD and AutoAttack; null: the run's own, in its own norm",
    )
    points: int = option(500, "test points attacked, from the first on; 0: all", minimum=0)
    steps: int = option(
        20,
        "gradient steps of PGD; DeepFool takes at most 12, carlini_wagner and boundary 50 times "
        "as many",
        minimum=1,
    )
    restarts: int = option(1, "starts of PGD", minimum=1)
    box: bool = option(True, "perturbed inputs stay within the data's range, where it is known")
    seed: int = option(
        0, "seeds random starts and the rounding search", minimum=0, maximum=LARGEST_SEED
    )


@command(
    "export",
    takes=("train", "estimate-wasserstein", "wgan", "import"),
    examples=(
        ("The newest run", "lipsort export"),
        ("A run by its directory", "lipsort export outputs/train/DATE/TIME"),
        ("What can be set, as YAML", "lipsort export --cfg job"),
    ),
)
@node
class ExportConfig(OnRun):
    """Export a trained run as a plain network."""

    formats: list[str] = option(
        _FORMATS, "files that are written", choices=_FORMATS, filled=True, distinct=True
    )
    points: int = option(256, "test points on which outputs are compared", minimum=1)


@command(
    "inspect",
    takes=("train", "estimate-wasserstein", "wgan", "import"),
    many=True,
    examples=(
        ("The newest run", "lipsort inspect"),
        ("Two runs side by side; results go to the first", "lipsort inspect A B"),
        ("More points, more pictures", "lipsort inspect A points=200 pictures=12"),
    ),
)
@node
class InspectConfig(OnRun):
    """Look inside networks: singular values, gradients, active units."""

    runs: list[str] = option([], "run directories that are drawn beside each other, run first")
    points: int = option(
        64, "test points measured at, from the first on", minimum=1, maximum=100_000
    )
    pictures: int = option(8, "points whose input gradients are drawn", minimum=1, maximum=24)
    norm: str | None = like(
        OnClassifier,
        "norm",
        None,
        "norm of inputs; gradients are measured in its dual; null: that of the run",
    )


@node
class UnseenData(TableOptions):
    """Rows to predict, and how their file is read."""

    path: str = option(
        REQUIRED,
        "the file (.csv, .parquet, .npy, .npz, a picture) or folder of pictures",
        path=True,
    )
    label: str | None = option(
        None, "the column of a table that holds the true class; null: the run's own, if it is there"
    )
    size: int | None = like(
        FolderData, "size", None, "cut and scale every picture to this square; null: as the run did"
    )
    colour: str | None = like(
        FolderData, "colour", None, "channels of pictures; null: as the run did"
    )
    background: str | None = like(
        FolderData, "background", None, "what transparent pixels lie on; null: as the run did"
    )


@node
class Settled(UnseenData):
    """How new data are read, what the run was trained with included."""

    own_label: str | None = None
    """The column that held the class of the run's own rows."""
    group: str = "data"
    """That of the options, for messages; none where they are arguments in Python."""


def settled(options: UnseenData, trained: Option, group: str = "data") -> Settled:
    """The ``options`` of new data; what they leave open is as the run read those it has.

    Args:
        options: the node ``data`` of the command's configuration.
        trained: that of the run's configuration.
        group: as :class:`Settled` has it.
    """
    found = vars(options) | {"own_label": getattr(trained, "label", None), "group": group}
    for name, default in (("size", None), ("colour", "auto"), ("background", None)):
        if found[name] is None:
            found[name] = getattr(trained, name, default)
    return Settled(**found)


@command(
    "predict",
    takes=("train", "import"),
    argument="data.path",
    senseless="a critic has no classes",
    examples=(
        ("New rows, by the newest run", "lipsort predict new.csv"),
        ("By a run of yours", "lipsort predict outputs/train/DATE/TIME new.csv"),
        ("Pictures, L-infinity", "lipsort predict RUN photos norm=linf"),
    ),
)
@node
class PredictConfig(OnClassifier):
    """Predict the class of new data, with the radius within which each answer cannot change."""

    data: UnseenData = field(default_factory=UnseenData)
    units: str = option(
        "raw",
        "of radii: of the input, or standard deviations of each column (of standardised tables)",
        choices=["raw", "deviations"],
    )
    format: str = option("csv", "of the table of predictions", choices=["csv", "parquet"])

    def faults(self) -> Iterator[str]:
        """Rules between fields."""
        if self.units == "deviations" and self.arithmetic not in (None, "real"):
            yield (
                f"arithmetic: found {self.arithmetic} with units=deviations, whose radii are "
                "proven in real arithmetic; leave it out"
            )
