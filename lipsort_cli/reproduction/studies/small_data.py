"""3: little data: clean error, the gap between training and test, a margin bound of the error."""

from __future__ import annotations

import math
from pathlib import Path

from lipsort_cli.reports.blocks import Picture
from lipsort_cli.reproduction.draw import Curve, curves, dots
from lipsort_cli.reproduction.jobs import Job, follow_up
from lipsort_cli.reproduction.outcomes import SIDES, Arm, Outcome, Outcomes, bound_from, table
from lipsort_cli.reproduction.statistics import Sample
from lipsort_cli.reproduction.studies.classification import error
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

KEY = "data.train_per_class"
FILE = "generalisation.json"
PUBLISHED = ("paper/small_data", "paper/small_data_dropout", "paper/small_data_bjorck")
OURS = "ours/small_data"
BOUNDED = f"{OURS}:generalisation"


def follow(jobs: list[Job], out: Path, mode: str) -> list[Job]:
    """The generalisation bound of every run without biases."""
    return [
        follow_up("generalisation", (str(job.directory.absolute()), "--out", "{directory}"),
                  [job], out)
        for job in jobs if job.preset == OURS
    ]  # fmt: skip


def gap(outcome: Outcome) -> float:
    """Training minus test accuracy, in points (empirical)."""
    return 100 * float(outcome.file(FILE)["gap"])


def complexity(outcome: Outcome) -> float:
    """Decimal logarithm of the margin bound's normalised complexity."""
    return math.log10(float(outcome.file(FILE)["bound"]["normalised"]))


@bound_from("above")
def bound(outcome: Outcome) -> float:
    """Decimal logarithm of the margin bound of the probability of error."""
    return math.log10(float(outcome.file(FILE)["bound"]["value"]))


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """What constraint and dropout do for the error, and whether a margin bound sees why."""
    arms, bounded = outcomes.arms(*PUBLISHED, OURS), outcomes.arms(BOUNDED)
    path = folder / "small_data.png"
    published, title = outcomes.arms(*PUBLISHED), "Small data: LeNet, as published"
    label = "clean test error (%)"
    if len({arm[KEY] for arm in published}) > 1:
        lines, xlabel = _lines(published), "training images a class"
        curves(path, lines, xlabel=xlabel, ylabel=label, title=title, log="x")
    else:
        dots(path, published, error, xlabel=label, title=title)
    return Finding(
        _checks(outcomes),
        [
            table("Small data: clean error", arms, [("test error (%)", error, 2)], "Empirical."),
            Picture(path, "Clean error against the number of images, every published regime."),
            table(
                "Small data, networks without biases: generalisation gap and margin bound",
                bounded,
                [("gap (points)", gap, 1), ("log10 complexity", complexity, 2),
                 ("log10 bound", bound, 2)],
                "Gap: empirical. Bound: of the probability of error, confidence 95%; above 1 it "
                "says nothing, as at these sizes for every network. Complexity: the part of it "
                "that depends on the network (lipsort generalisation RUN).",
            ),
        ],
    )  # fmt: skip


def _lines(arms: list[Arm]) -> list[Curve]:
    lines: dict[str, list[tuple[float, Sample]]] = {}
    for arm in arms:
        regime = arm.preset.partition("small_data")[2].strip("_") or "standard"
        label = f"{arm['activation']}, {regime}"
        lines.setdefault(label, []).append((float(arm[KEY]), arm.sample(error)))
    return [(label, *map(list, zip(*points, strict=True))) for label, points in lines.items()]  # type: ignore[misc]


def _checks(outcomes: Outcomes) -> list[Check]:
    checks = []
    for preset, what in ((PUBLISHED[2], "An orthonormal constraint"), (PUBLISHED[1], "Dropout")):
        pairs = []
        for arm in outcomes.arms(preset):
            same = {"activation": arm["activation"], KEY: arm[KEY]}
            plain = outcomes.sample(error, PUBLISHED[0], **same)
            words = (
                f"clean error in points, standard - this, {same['activation']}, {arm[KEY]} a class"
            )
            pairs.append((words, plain, arm.sample(error), 0.0))
        checks.append(
            ordering(
                f"{what} lowers LeNet's clean error on little data",
                SIDES["paper"], pairs, places=2, published="it does, at 100 to 500 a class",
                reason="few epochs, where the published networks are trained to the end",
            )
        )  # fmt: skip
    for metric, what in (
        (gap, "narrows the generalisation gap"),
        (complexity, "lowers the complexity that the margin bound sees"),
    ):
        pairs = [
            (f"unconstrained - orthonormal, {arm['activation']}, {arm[KEY]} a class",
             outcomes.beside(arm, metric, constraint="none"), arm.sample(metric), 0.0)
            for arm in outcomes.arms(BOUNDED, constraint="orthonormal")
        ]  # fmt: skip
        checks.append(
            ordering(f"The constraint {what}", SIDES["ours"], pairs, places=2,
                     published="qualitative")
        )  # fmt: skip
    return checks


SMALL_DATA = Study(
    3,
    "small_data",
    "Small data: generalisation",
    "Lipschitz networks generalise from few examples, and a margin bound can tell.",
    judge,
    (*PUBLISHED, OURS),
    follow,
)
