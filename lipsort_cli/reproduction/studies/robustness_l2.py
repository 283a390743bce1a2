"""5: robustness in L2 at 0.3, 0.5, 1.0 and 1.58, beside the published figures."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Table
from lipsort_cli.reproduction.outcomes import SIDES, Outcomes, table
from lipsort_cli.reproduction.studies.robustness import (
    certified,
    clean,
    columns,
    over_radii,
    pgd,
    radii,
)
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

NAME = "robustness_l2"
PRESETS = tuple(f"{side}/{NAME}" for side in SIDES)
PUBLISHED = (
    ("the paper's FC-3, 1024x3 MaxMin, retrained by Li et al. 2019", "98.71", "54.46", "81.96"),
    ("BCOP-Large (Li et al. 2019)", "98.77", "56.66", ""),
    ("GloRo (Leino et al. 2021)", "", "62.8", ""),
    ("CRM (Huang et al. 2023)", "96.27", "63.37", ""),
)
"""Name, clean, certified at 1.58 and under PGD at 1.58: deterministic certificates, percent."""


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """MaxMin is certified further than ReLU at every radius, under the same constraint."""
    arms, eps = outcomes.arms(*PRESETS), radii(outcomes, PRESETS[0])
    picture = over_radii(
        folder / "robustness_l2.png", arms, {", certified": certified, ", PGD": pgd}, eps, "L2",
        "Certified accuracy (proven, drawn through) and accuracy under PGD (empirical, dotted).",
    )  # fmt: skip
    made = table(
        "MNIST, L2: accuracy (%), certified at the radii in the header",
        arms,
        [("clean", clean, 2), *columns(certified, eps), (f"PGD at {eps[-1]:g}", pgd(eps[-1]), 1)],
        "Certified: proven, 10,000 test images; clean and PGD (500 images unless full): empirical.",
    )
    known = Table(
        "Published, MNIST, L2 at 1.58 (%)",
        ["network", "clean", "certified", "PGD"],
        [list(row) for row in PUBLISHED],
        "`lipsort train experiment=mnist_l2` is our long run.",
    )
    return Finding([_check(outcomes, side, eps) for side in SIDES], [made, known, picture])


def _check(outcomes: Outcomes, side: str, eps: list[float]) -> Check:
    pairs = []
    for value in eps:
        sort, relu = (
            outcomes.sample(certified(value), f"{side}/{NAME}", activation=activation)
            for activation in ("maxmin", "relu")
        )
        pairs.append((f"certified at {value:g} in points, MaxMin - ReLU", sort, relu, 0.0))
    return ordering(
        "MaxMin is certified further than ReLU at every radius",
        SIDES[side], pairs, places=1, evidence="proven",
        published="54.46% at 1.58, 98.71% clean (Li et al. 2019, dense network)",
    )  # fmt: skip


ROBUSTNESS_L2 = Study(
    5,
    NAME,
    "Robustness in L2",
    "Certified accuracy in L2 with little loss of clean accuracy, more of it with GroupSort.",
    judge,
    PRESETS,
)
