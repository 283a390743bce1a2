"""1: which activations let a norm-constrained network come close to a known potential."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.draw import dots
from lipsort_cli.reproduction.outcomes import Outcome, Outcomes
from lipsort_cli.reproduction.statistics import above, greater
from lipsort_cli.reproduction.study import Check, Finding, Study

ACTIVATIONS = ("maxmin", "groupsort", "fullsort", "absolute_value", "maxout", "relu", "tanh")
PROBLEMS = (
    ("absolute_value", "absolute value", ("orthonormal", "spectral")),
    ("absolute_value_linf", "absolute value, L-infinity", ("linf",)),
    ("three_cones", "three cones", ("orthonormal", "spectral")),
    ("cone", "cone in 128 dimensions", ("orthonormal", "spectral")),
)


def share(outcome: Outcome) -> float:
    """Proven lower bound over the true distance."""
    results = outcome.results
    return float(results["lower_bound"]["value"]) / float(results["true"])


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """GroupSort reaches what ReLU cannot, problem by problem and constraint by constraint."""
    finding = Finding()
    for preset, title, constraints in PROBLEMS:
        rows, drawn = [], []
        for activation in ACTIVATIONS:
            found = [
                outcomes.sample(share, preset, activation=activation, constraint=constraint)
                for constraint in constraints
            ]
            rows.append([activation, *(sample.text() for sample in found)])
            drawn += [
                (f"{activation}, {constraint}", sample)
                for constraint, sample in zip(constraints, found, strict=True)
            ]
        finding.blocks.append(
            Table(
                f"{title}: proven lower bound of W1 over the true distance",
                ["activation", *constraints],
                rows,
                "Mean ± standard deviation over seeds; 1 is the whole distance. Proven for the "
                "samples compared.",
            )
        )
        path = folder / f"{preset}.png"
        dots(
            path,
            drawn,
            xlabel="proven lower bound of W1 / true distance",
            title=title,
            reference=(1.0, "true distance"),
        )
        finding.blocks.append(
            Picture(
                path,
                f"{title}: sorting activations come close to the true distance, ReLU and tanh "
                "stay short of it whatever the constraint. A dot a seed, a bar their mean.",
            )
        )
        finding.checks.append(_check(outcomes, preset, title, constraints))
    return finding


def _check(outcomes: Outcomes, preset: str, title: str, constraints: tuple[str, ...]) -> Check:
    tests = []
    words = []
    for constraint in constraints:
        sort, relu = (
            outcomes.sample(share, preset, activation=activation, constraint=constraint)
            for activation in ("maxmin", "relu")
        )
        what = f"share of the distance, MaxMin - ReLU, {constraint}"
        tests.append((what, greater(sort, relu, 0.05)))
        words.append(f"{constraint}: MaxMin {sort.text()}, ReLU {relu.text()}")
    first = outcomes.sample(share, preset, activation="fullsort", constraint=constraints[0])
    tests.append((f"share of the distance, FullSort, {constraints[0]}", above(first, 0.8)))
    words.append(f"FullSort {first.text()}")
    return Check(
        f"{title}: GroupSort comes close to the true distance where ReLU cannot",
        "; ".join(words),
        tuple(tests),
        published=_PUBLISHED[preset],
    )


_PUBLISHED = {
    "absolute_value": "MaxMin exact, ReLU cannot (Theorem 1)",
    "absolute_value_linf": "MaxMin exact, ReLU cannot (Theorem 1)",
    "three_cones": "shown as surfaces, without figures",
    "cone": "shown as curves: FullSort close to 1, ReLU far from it",
}
"""What the paper says, as far as it gives figures."""

EXPRESSIVITY = Study(
    1,
    "expressivity",
    "Expressivity: potentials with kinks",
    "Norm-constrained ReLU networks cannot represent simple 1-Lipschitz functions; GroupSort can.",
    judge,
    tuple(preset for preset, _, _ in PROBLEMS),
)
