"""The typed configuration of `lipsort predict`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from lipsort_cli.config.certificates import OnClassifier
from lipsort_cli.config.data import TableOptions
from lipsort_cli.config.options import REQUIRED, node, option
from lipsort_cli.config.registry import Option, command


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
    size: int | None = option(
        None,
        "cut and scale every picture to this square; null: as the run did",
        minimum=2,
        maximum=4096,
    )
    colour: str | None = option(
        None, "channels of pictures; null: as the run did", choices=["auto", "grey", "rgb"]
    )
    background: str | None = option(
        None, "what transparent pixels lie on; null: as the run did", choices=["black", "white"]
    )


@node
class Settled(UnseenData):
    """How new data are read, what the run was trained with included."""

    own_label: str | None = None
    """The column that held the class of the run's own rows."""


def settled(options: UnseenData, trained: Option) -> Settled:
    """The ``options`` of new data; what they leave open is as the run read those it has.

    Args:
        options: the node ``data`` of the command's configuration.
        trained: that of the run's configuration.
    """
    found = vars(options) | {"own_label": getattr(trained, "label", None)}
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
        if self.units == "deviations" and self.arithmetic == "binary64":
            yield (
                "arithmetic: found binary64 with units=deviations, whose radii are proven in real "
                "arithmetic; leave it out"
            )
