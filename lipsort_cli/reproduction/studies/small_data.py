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


def test_accuracy(outcome: Outcome) -> float:
    """Test accuracy in percent (empirical)."""
    return 100 * float(outcome.file(FILE)["test_accuracy"])


def complexity(outcome: Outcome) -> float:
    """The margin bound's normalised complexity."""
    return float(outcome.file(FILE)["bound"]["normalised"])


def bound(outcome: Outcome) -> float:
    """The margin bound of the probability of error."""
    return float(outcome.file(FILE)["bound"]["value"])


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """The constraint keeps the complexity small; GroupSort keeps the accuracy beside it."""
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
                    outcomes.sample(test_accuracy, chosen, **arm).text(1),
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
        "part of the bound that depends on the network (lipsort generalisation RUN).",
        keys=2,
    )
    picture = Picture(
        path,
        "Complexity of the margin bound against the number of images, both logarithmic: "
        "constrained networks lie orders of magnitude below unconstrained ones of the same size.",
    )
    return Finding(_checks(outcomes, sizes), [table, picture])


def _arm(activation: str, constraint: str, size: int) -> dict[str, object]:
    return {"activation": activation, "constraint": constraint, "data__train_per_class": size}


def _checks(outcomes: Outcomes, sizes: list[int]) -> list[Check]:
    if not sizes:
        return []
    smaller, better = [], []
    words, accuracies = [], []
    for preset, activation in (("small_data", "maxmin"), ("small_data_lenet", "maxmin")):
        chosen = f"{preset}:generalisation"
        for size in sizes:
            free, kept = (
                _log10(outcomes.sample(complexity, chosen, **_arm(activation, constraint, size)))
                for constraint in ("none", "orthonormal")
            )
            what = f"log10 complexity, unconstrained - orthonormal, {preset}, {size} a class"
            smaller.append((what, greater(free, kept, 1.0)))
            words.append(f"{preset} {size}: 10^{kept.mean:.1f} against 10^{free.mean:.1f}")
    chosen = "small_data:generalisation"
    for size in sizes:
        sort, relu = (
            outcomes.sample(test_accuracy, chosen, **_arm(activation, "orthonormal", size))
            for activation in ("maxmin", "relu")
        )
        what = f"test accuracy in points, MaxMin - ReLU, both orthonormal, {size} a class"
        # No worse, beyond half a point: with few images both are limited by the images.
        better.append((what, greater(sort, relu, -0.5)))
        accuracies.append(f"{size}: MaxMin {sort.text(1)}, ReLU {relu.text(1)}")
    return [
        Check(
            "A constrained network's margin bound is smaller by orders of magnitude",
            "; ".join(words),
            tuple(smaller),
            published="qualitative",
        ),
        Check(
            "Under the constraint MaxMin generalises at least as well as ReLU",
            "; ".join(accuracies),
            tuple(better),
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
