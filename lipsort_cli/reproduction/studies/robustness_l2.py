"""5: robustness in L2 at 0.3, 0.5, 1.0 and 1.58, beside the published figures."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.draw import Curve, curves
from lipsort_cli.reproduction.outcomes import Outcomes
from lipsort_cli.reproduction.statistics import greater
from lipsort_cli.reproduction.studies.robustness import certified, clean, over_radii, pgd, radii
from lipsort_cli.reproduction.study import Check, Finding, Study

NAME = "robustness_l2"
PUBLISHED = (
    ("the paper's FC-3 (1024x3, MaxMin, 200 epochs)", "98.71", "54.46", "81.96"),
    ("BCOP-Large (convolutional)", "98.77", "56.66", ""),
    ("GloRo (convolutional)", "", "62.8", ""),
)
"""Name, clean, certified at 1.58 and under PGD at 1.58: deterministic certificates, percent."""


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """MaxMin is certified further than ReLU at every radius."""
    eps = radii(outcomes, NAME)
    rows, lines = [], []
    for label, activation in (("MaxMin", "maxmin"), ("ReLU", "relu")):
        start = outcomes.sample(clean, NAME, activation=activation)
        proven = over_radii(outcomes, certified, eps, NAME, activation=activation)
        attacked = over_radii(outcomes, pgd, eps, NAME, activation=activation)
        rows.append([f"{label}, here", start.text(2), *(s.text(2) for s in proven),
                     attacked[-1].text(1) if attacked else "-"])  # fmt: skip
        for kind, samples in (("certified", proven), ("under PGD", attacked)):
            curve: Curve = (f"{label}, {kind}", [0.0, *eps], [start, *samples])
            lines.append(curve)
    blank = [""] * max(0, len(eps) - 1)
    rows += [[name, start, *blank, value, attack] for name, start, value, attack in PUBLISHED]
    path = folder / "robustness_l2.png"
    curves(
        path,
        lines,
        xlabel="L2 radius (raw pixels)",
        ylabel="accuracy (%)",
        title="MNIST, L2: certified (proven) and under PGD (empirical)",
        styles=("-", ":"),
        ylim=(-2, 102),
    )
    table = Table(
        "MNIST, L2: accuracy (%), certified at the radii in the header",
        ["network", "clean", *(f"{value:g}" for value in eps),
         f"PGD at {eps[-1]:g}" if eps else "PGD"],
        rows,
        "Certified: proven, 10,000 test images; clean and PGD (500 images): empirical. Published "
        "rows are at 1.58. The quick version trains on 15,000 images for seconds; `lipsort train "
        "experiment=mnist_l2` is the long one.",
    )  # fmt: skip
    picture = Picture(
        path, "Certified accuracy falls more slowly for MaxMin than for ReLU at every radius."
    )
    return Finding([_check(outcomes, eps)], [table, picture])


def _check(outcomes: Outcomes, eps: list[float]) -> Check:
    tests, words = [], []
    for value in eps:
        sort, relu = (
            outcomes.sample(certified(value), NAME, activation=activation)
            for activation in ("maxmin", "relu")
        )
        tests.append((f"certified at {value:g} in points, MaxMin - ReLU", greater(sort, relu)))
        words.append(f"at {value:g}: {sort.text(1)} against {relu.text(1)}")
    return Check(
        "MaxMin is certified further than ReLU at every radius",
        "; ".join(words),
        tuple(tests),
        published="54.46% at 1.58 (98.71% clean)",
    )


ROBUSTNESS_L2 = Study(
    5,
    NAME,
    "Robustness in L2",
    "Certified accuracy in L2 with little loss of clean accuracy, more of it with GroupSort.",
    judge,
    (NAME,),
)
