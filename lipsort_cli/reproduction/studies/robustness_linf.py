"""4: robustness in L-infinity: certified, FGSM and PGD accuracy over the radius."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reproduction.outcomes import SIDES, Outcomes, table
from lipsort_cli.reproduction.statistics import above
from lipsort_cli.reproduction.studies.robustness import (
    FGSM,
    NEAREST,
    attack_further,
    attacked,
    certified,
    clean,
    columns,
    over_radii,
    pgd,
    radii,
)
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

MAIN, L2 = "robustness_linf", "ours/robustness_linf_l2"
PLAIN, ADVERSARIAL = "paper/robustness_linf_plain", "paper/robustness_linf_pgd"
PRESETS = (f"paper/{MAIN}", PLAIN, ADVERSARIAL, f"ours/{MAIN}", L2)
SORTS = {"paper": "maxmin", "ours": "groupsort"}


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """At 0.1 and beyond the L-infinity constraint certifies most, and GroupSort more than ReLU."""
    arms, eps = outcomes.arms(*PRESETS), radii(outcomes, PRESETS[0])
    finding = Finding()
    for word, kind in (("certified (proven)", certified), ("under PGD (empirical)", pgd)):
        finding.blocks.append(
            table(
                f"MNIST, L-infinity: accuracy (%) {word}",
                arms,
                [("clean", clean, 1), *columns(kind, eps)],
                "Certified on 10,000 test images, attacked 500 (unless full); the columns are "
                "radii in units of the raw pixel.",
            )
        )
        name = word.partition(" ")[0] if kind is certified else "pgd"
        finding.blocks.append(
            over_radii(folder / f"{MAIN}_{name}.png", arms, {"": kind}, eps, f"L-infinity, {word}",
                       _CAPTIONS[name])
        )  # fmt: skip
    for name, words, points in (
        (FGSM, "FGSM", "500 test images, one step."),
        (NEAREST, "Carlini-Wagner and the boundary attack", "100 test images, by foolbox."),
    ):
        if later := outcomes.arms(*(f"{preset}:{name}" for preset in PRESETS)):
            title = f"MNIST, L-infinity: accuracy (%) under {words} (empirical)"
            finding.blocks.append(table(title, later, columns(attacked, eps), points))
    finding.checks += [check for side in SIDES for check in _checks(outcomes, side)]
    return finding


_CAPTIONS = {
    "certified": "Certified: without a constraint, trained against PGD or not, nothing is proven.",
    "pgd": "Under PGD: adversarial training and the constraint both hold; only the latter proves.",
}


def _checks(outcomes: Outcomes, side: str) -> list[Check]:
    preset, sort = f"{side}/{MAIN}", SORTS[side]

    at = {activation: outcomes.sample(certified(0.1), preset, activation=activation)
          for activation in (sort, "relu")}  # fmt: skip
    far = outcomes.sample(certified(0.3), preset, activation=sort)
    plain, adversarial = (outcomes.sample(certified(0.1), other) for other in (PLAIN, ADVERSARIAL))
    others = [("plain", plain), ("PGD-trained", adversarial)]
    others += [("L2", outcomes.sample(certified(0.1), L2))] if side == "ours" else []
    under = outcomes.sample(pgd(0.1), preset, activation=sort)
    return [
        ordering(
            "Sorting activations under L-infinity are certified further than ReLU, at 0.1",
            SIDES[side],
            [(f"certified at 0.1 in points, {sort} - ReLU", at[sort], at["relu"], 0.0)],
            places=1, published="shown as curves", evidence="proven",
        ),
        Check(
            "At 0.1 at least 40% are certified",
            f"{sort}: {at[sort].text(1)}% at 0.1, {far.text(1)}% at 0.3",
            ((f"certified at 0.1 in percent, {sort}", above(at[sort], 40)),),
            "79% at 0.1, 2% at 0.3 (read off its curves by later authors)", SIDES[side], "proven",
            "a tenth of the images and a twentieth of the epochs" if side == "paper" else "",
        ),
        ordering(
            "At 0.1 neither adversarial training nor an L2 constraint certifies as much",
            SIDES[side],
            [(f"certified at 0.1 in points, {sort} - {n}", at[sort], o, 0.0) for n, o in others],
            places=1, published="not certified", evidence="proven",
        ),
        ordering(
            "Under PGD at 0.1 the constraint beats no defence",
            SIDES[side],
            [(f"under PGD at 0.1 in points, {sort} - plain", under,
              outcomes.sample(pgd(0.1), PLAIN), 0.0)],
            places=1, published="shown as curves",
        ),
    ]  # fmt: skip


ROBUSTNESS_LINF = Study(
    4,
    "robustness_linf",
    "Robustness in L-infinity",
    "Margin-trained networks under an L-infinity constraint are provably robust in L-infinity.",
    judge,
    PRESETS,
    attack_further,
)
