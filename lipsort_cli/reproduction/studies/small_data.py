"""3: little data: the gap between training and test error, and a margin bound of the error."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.draw import Curve, curves
from lipsort_cli.reproduction.jobs import Job, follow_up
from lipsort_cli.reproduction.outcomes import Outcome, Outcomes
from lipsort_cli.reproduction.statistics import Sample, greater
from lipsort_cli.reproduction.study import Check, Finding, Study

KEY = "data.train_per_class"
FILE = "generalisation.json"
ARMS = (
    ("dense, MaxMin orthonormal", "small_data", "maxmin", "orthonormal"),
    ("dense, ReLU orthonormal", "small_data", "relu", "orthonormal"),
    ("dense, MaxMin unconstrained", "small_data", "maxmin", "none"),
    ("dense, ReLU unconstrained", "small_data", "relu", "none"),
    ("LeNet, MaxMin orthonormal", "small_data_lenet", "maxmin", "orthonormal"),
    ("LeNet, MaxMin unconstrained", "small_data_lenet", "maxmin", "none"),
)


def follow(jobs: list[Job], out: Path) -> list[Job]:
    """The generalisation bound of every run."""
    return [
        follow_up("generalisation", (str(job.directory.absolute()), "--out", "{directory}"),
                  [job], out)
        for job in jobs
    ]  # fmt: skip


def gap(outcome: Outcome) -> float:
    """Training minus test accuracy, in points (empirical)."""
    return 100 * float(outcome.file(FILE)["gap"])


def unseen(outcome: Outcome) -> float:
    """Test accuracy in percent (empirical)."""
    return 100 * float(outcome.file(FILE)["test_accuracy"])


def complexity(outcome: Outcome) -> float:
    """The margin bound's normalised complexity."""
    return float(outcome.file(FILE)["bound"]["normalised"])


def bound(outcome: Outcome) -> float:
    """The margin bound of the probability of error."""
    return float(outcome.file(FILE)["bound"]["value"])


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """The constraint narrows the gap between training and test, and the bound sees why."""
    sizes = sorted({int(o.job.arm[KEY]) for o in outcomes.of("small_data:generalisation")})
    rows, lines = [], []
    for label, preset, activation, constraint in ARMS:
        at_sizes: list[Sample] = []
        for size in sizes:
            arm = _arm(activation, constraint, size)
            chosen = f"{preset}:generalisation"
            at_sizes.append(outcomes.sample(complexity, chosen, **arm))
            values = outcomes.sample(bound, chosen, **arm)
            rows.append(
                [
                    label,
                    str(size),
                    outcomes.sample(unseen, chosen, **arm).text(1),
                    outcomes.sample(gap, chosen, **arm).text(1),
                    _scientific(at_sizes[-1]),
                    _scientific(values),
                ]
            )
        curve: Curve = (label, [float(size) for size in sizes], at_sizes)
        lines.append(curve)
    path = folder / "small_data.png"
    curves(
        path,
        lines,
        xlabel="training images a class",
        ylabel="normalised complexity",
        title="Small data: what the margin bound has to say of each network",
        log="xy",
        styles=("-", "--"),
    )
    table = Table(
        "Small data: generalisation gap and margin bound",
        ["network", "images a class", "test (%)", "gap (points)", "complexity", "bound"],
        rows,
        "Test accuracy and gap: empirical. Bound: of the probability of error, confidence 95%; "
        "above 1 it says nothing, as at these sizes it does for every network. Complexity: the "
        "part of the bound that depends on the network (lipsort generalisation RUN). Nothing is "
        "claimed of MaxMin against ReLU here: with few images either may be ahead.",
        keys=2,
    )
    picture = Picture(
        path,
        "Complexity of the margin bound against the number of images, both logarithmic: "
        "constrained networks lie below unconstrained ones of the same kind.",
    )
    return Finding(_checks(outcomes, sizes), [table, picture])


def _arm(activation: str, constraint: str, size: int) -> dict[str, object]:
    return {"activation": activation, "constraint": constraint, "data__train_per_class": size}


def _checks(outcomes: Outcomes, sizes: list[int]) -> list[Check]:
    simpler, closer = [], []
    words, gaps = [], []
    for preset in ("small_data", "small_data_lenet"):
        chosen = f"{preset}:generalisation"
        for size in sizes:
            arms = [_arm("maxmin", constraint, size) for constraint in ("none", "orthonormal")]
            free, kept = (_log10(outcomes.sample(complexity, chosen, **arm)) for arm in arms)
            what = f"unconstrained - orthonormal, MaxMin, {preset}, {size} a class"
            simpler.append((f"log10 complexity, {what}", greater(free, kept)))
            words.append(f"{preset}, {size}: 10^{kept.mean:.1f} against 10^{free.mean:.1f}")
            free, kept = (outcomes.sample(gap, chosen, **arm) for arm in arms)
            closer.append((f"generalisation gap in points, {what}", greater(free, kept)))
            gaps.append(f"{preset}, {size}: {kept.text(1)} against {free.text(1)} points")
    return [
        Check(
            "The constraint narrows the gap between training and test accuracy",
            "; ".join(gaps),
            tuple(closer),
            published="qualitative",
        ),
        Check(
            "The constraint lowers the complexity that the margin bound sees",
            "; ".join(words),
            tuple(simpler),
            published="qualitative",
        ),
    ]


def _log10(sample: Sample) -> Sample:
    import math

    return Sample({seed: math.log10(value) for seed, value in sample.by_seed.items()})


def _scientific(sample: Sample) -> str:
    return f"{sample.mean:.2g}" if sample.by_seed else "-"


SMALL_DATA = Study(
    3,
    "small_data",
    "Small data: generalisation",
    "Lipschitz networks generalise from few examples, and a margin bound can tell.",
    judge,
    ("small_data", "small_data_lenet"),
    follow,
)
