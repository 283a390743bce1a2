"""4: robustness in L-infinity: certified, FGSM and PGD accuracy over the radius."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.draw import Curve, curves
from lipsort_cli.reproduction.outcomes import Outcomes
from lipsort_cli.reproduction.statistics import above, greater
from lipsort_cli.reproduction.studies.robustness import (
    attack_by_fgsm,
    certified,
    clean,
    fgsm,
    over_radii,
    pgd,
    radii,
)
from lipsort_cli.reproduction.study import Check, Finding, Study

MAIN = "robustness_linf"
ARMS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("GroupSort, L-infinity, margin", MAIN, {"activation": "groupsort"}),
    ("ReLU, L-infinity, margin", MAIN, {"activation": "relu"}),
    ("MaxMin, L2, margin", "robustness_linf_l2", {}),
    ("ReLU, PGD-trained", "robustness_linf_pgd", {}),
    ("ReLU, unconstrained", "robustness_linf_plain", {}),
)


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """At 0.1 and beyond the L-infinity constraint certifies most, and GroupSort more than ReLU."""
    eps = radii(outcomes, MAIN)
    finding = Finding()
    drawn: dict[str, list[Curve]] = {"certified": [], "PGD": [], "FGSM": []}
    rows = []
    for label, preset, arm in ARMS:
        by_kind = {
            "certified": over_radii(outcomes, certified, eps, preset, **arm),
            "PGD": over_radii(outcomes, pgd, eps, preset, **arm),
            "FGSM": over_radii(outcomes, fgsm, eps, f"{preset}:attack", **arm),
        }
        start = outcomes.sample(clean, preset, **arm)
        for kind, samples in by_kind.items():
            drawn[kind].append((label, [0.0, *eps], [start, *samples]))
            rows.append([label, kind, start.text(1), *(sample.text(1) for sample in samples)])
    finding.blocks.append(
        Table(
            "MNIST, L-infinity: accuracy (%)",
            ["network", "", "clean", *(f"{value:g}" for value in eps)],
            rows,
            "Mean ± standard deviation over seeds. Certified: proven, 10,000 test images; PGD and "
            "FGSM: empirical, 500. The last columns are radii in units of the raw pixel.",
            keys=2,
        )
    )
    for kind, lines in drawn.items():
        path = folder / f"robustness_linf_{kind.lower()}.png"
        word = "certified (proven)" if kind == "certified" else f"under {kind} (empirical)"
        curves(
            path,
            lines,
            xlabel="L-infinity radius (raw pixels)",
            ylabel="accuracy (%)",
            title=f"MNIST, L-infinity: accuracy {word}",
            styles=("-", "--"),
            ylim=(-2, 102),
        )
        finding.blocks.append(Picture(path, _CAPTIONS[kind]))
    finding.checks += _checks(outcomes)
    return finding


_CAPTIONS = {
    "certified": "Certified: a ball of L-infinity radius r lies in the L2 ball of radius 28 r, so "
    "that the network constrained in L2 is certified at small radii; at 0.1 and beyond the "
    "L-infinity constraint has more, and with GroupSort more than with ReLU. Without a constraint, "
    "trained against PGD or not, nothing is proven.",
    "PGD": "Under PGD: adversarial training and the constraint both hold where an undefended "
    "network falls to nothing; only the constraint proves it.",
    "FGSM": "Under FGSM, one step: an upper bound of what PGD leaves.",
}


def _checks(outcomes: Outcomes) -> list[Check]:
    sort = outcomes.sample(certified(0.1), MAIN, activation="groupsort")
    relu = outcomes.sample(certified(0.1), MAIN, activation="relu")
    far = outcomes.sample(certified(0.3), MAIN, activation="groupsort")
    near = outcomes.sample(certified(0.01), "robustness_linf_l2")
    others = [
        (label, outcomes.sample(certified(0.1), preset, **arm)) for label, preset, arm in ARMS[2:]
    ]
    under = {label: outcomes.sample(pgd(0.2), preset, **arm) for label, preset, arm in ARMS}
    plain = under["ReLU, unconstrained"]
    first, adversarial = (
        under[label] for label in ("GroupSort, L-infinity, margin", "ReLU, PGD-trained")
    )
    return [
        Check(
            "GroupSort under L-infinity is certified further than ReLU",
            f"at 0.1: GroupSort {sort.text(1)}%, ReLU {relu.text(1)}%; at 0.3 {far.text(1)}%",
            (("certified at 0.1 in points, GroupSort - ReLU", greater(sort, relu, 5)),
             ("certified at 0.1 in percent, GroupSort", above(sort, 40))),
            published="79% at 0.1, 2% at 0.3",
        ),
        Check(
            "At 0.1 neither an L2 constraint nor adversarial training certifies as much",
            "; ".join(f"{label} {sample.text(1)}%" for label, sample in others),
            tuple((f"certified at 0.1 in points, GroupSort - {label}", greater(sort, other, 5))
                  for label, other in others),
            published="not certified",
        ),
        Check(
            "An L2 constraint does certify in L-infinity, at small radii",
            f"at 0.01, which is 0.28 in L2: {near.text(1)}%",
            (("certified at 0.01 in percent, MaxMin in L2", above(near, 70)),),
            published="not looked at",
        ),
        Check(
            "Under PGD both adversarial training and the constraint beat no defence",
            f"at 0.2: GroupSort {first.text(1)}%, PGD-trained {adversarial.text(1)}%, "
            f"plain {plain.text(1)}%",
            (("under PGD at 0.2 in points, GroupSort - plain", greater(first, plain, 5)),
             ("under PGD at 0.2 in points, PGD-trained - plain", greater(adversarial, plain, 5))),
            published="shown as curves",
        ),
    ]  # fmt: skip


ROBUSTNESS_LINF = Study(
    4,
    "robustness_linf",
    "Robustness in L-infinity",
    "Margin-trained networks under an L-infinity constraint are provably robust in L-infinity.",
    judge,
    (MAIN, "robustness_linf_l2", "robustness_linf_plain", "robustness_linf_pgd"),
    attack_by_fgsm,
)
