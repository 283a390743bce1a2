"""4 and 5: robustness in L-infinity and L2: accuracies over the radius, of runs and attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.draw import Curve, curves, labels
from lipsort_cli.reproduction.jobs import Job, follow_up
from lipsort_cli.reproduction.outcomes import (
    SIDES,
    Arm,
    Column,
    Metric,
    Outcomes,
    at,
    bound_from,
    table,
)
from lipsort_cli.reproduction.statistics import above
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

FGSM, NEAREST = "fgsm", "nearest"
"""Names of the attacks that follow a run."""


def _percent(metric: Metric) -> Metric:
    return lambda outcome: 100 * metric(outcome)


clean = _percent(at("clean_accuracy"))
"""Clean accuracy in percent (empirical)."""


def certified(eps: float) -> Metric:
    """Certified accuracy in percent (proven)."""
    return bound_from("below")(_percent(at("certified_accuracy", "eps", f"{eps}")))


def pgd(eps: float) -> Metric:
    """Accuracy under PGD in percent (empirical)."""
    return _percent(at("attacked_accuracy", "eps", f"{eps}"))


def attacked(eps: float) -> Metric:
    """Accuracy under the attacks that follow a run, in percent (empirical)."""
    return _percent(at("attacked_accuracy", "eps", f"{eps}", file="attack.json"))


def attack_further(jobs: list[Job], out: Path, mode: str) -> list[Job]:
    """`lipsort attack` of every run: PGD is part of the run itself.

    FGSM alone; beyond the quick size, and where foolbox is installed, Carlini and Wagner's and the
    boundary attack together.
    """
    kinds = {FGSM: ("methods=[fgsm]", "points=500")}
    if mode != "quick" and find_spec("foolbox") is not None:
        kinds[NEAREST] = ("methods=[carlini_wagner,boundary]", "points=100")
    return [
        follow_up(
            "attack",
            (f"run='{job.directory.absolute()}'", *words, "arithmetic=real"),
            [job],
            out,
            name,
        )
        for name, words in kinds.items()
        for job in jobs
    ]


def radii(outcomes: Outcomes, preset: str) -> list[float]:
    """The radii that the runs of a preset were evaluated at."""
    found = outcomes.of(preset)
    return sorted(map(float, found[0].results["certified_accuracy"]["eps"])) if found else []


def columns(kind: Callable[[float], Metric], eps: Sequence[float]) -> list[Column]:
    """A column for each radius."""
    return [(f"{value:g}", kind(value), 1) for value in eps]


def over_radii(
    path: Path,
    arms: Sequence[Arm],
    kinds: dict[str, Callable[[float], Metric]],
    eps: list[float],
    words: str,
    caption: str,
) -> Picture:
    """Accuracy over the radius, a curve for each arm and kind."""
    lines: list[Curve] = [
        (f"{label}{name}", [0.0, *eps],
         [arm.sample(clean), *(arm.sample(kind(value)) for value in eps)])
        for arm, label in zip(arms, labels(arms), strict=True) for name, kind in kinds.items()
    ]  # fmt: skip
    curves(
        path,
        lines,
        xlabel=f"{words} radius (raw pixels)",
        ylabel="accuracy (%)",
        title=f"MNIST, {words}",
        kinds=len(kinds),
        ylim=(-2, 102),
    )
    return Picture(path, caption)


# --- 4: L-infinity: certified, FGSM and PGD accuracy ----------------------------------------------

LINF, BY_L2 = "robustness_linf", "ours/robustness_linf_l2"
PLAIN, ADVERSARIAL = "paper/robustness_linf_plain", "paper/robustness_linf_pgd"
LINF_PRESETS = (f"paper/{LINF}", PLAIN, ADVERSARIAL, f"ours/{LINF}", BY_L2)
SORTS = {"paper": "maxmin", "ours": "groupsort"}


def judge_linf(outcomes: Outcomes, folder: Path) -> Finding:
    """At 0.1 and beyond the L-infinity constraint certifies most, and GroupSort more than ReLU."""
    arms, eps = outcomes.arms(*LINF_PRESETS), radii(outcomes, LINF_PRESETS[0])
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
            over_radii(folder / f"{LINF}_{name}.png", arms, {"": kind}, eps, f"L-infinity, {word}",
                       _CAPTIONS[name])
        )  # fmt: skip
    for name, words, points in (
        (FGSM, "FGSM", "500 test images, one step."),
        (NEAREST, "Carlini-Wagner and the boundary attack", "100 test images, by foolbox."),
    ):
        if later := outcomes.arms(*(f"{preset}:{name}" for preset in LINF_PRESETS)):
            title = f"MNIST, L-infinity: accuracy (%) under {words} (empirical)"
            finding.blocks.append(table(title, later, columns(attacked, eps), points))
    finding.checks += [check for side in SIDES for check in _checks(outcomes, side)]
    return finding


_CAPTIONS = {
    "certified": "Certified: without a constraint, trained against PGD or not, nothing is proven.",
    "pgd": "Under PGD: adversarial training and the constraint both hold; only the latter proves.",
}


def _checks(outcomes: Outcomes, side: str) -> list[Check]:
    preset, sort = f"{side}/{LINF}", SORTS[side]
    near, relu = outcomes.sort_and_relu(certified(0.1), preset, sort)
    far = outcomes.sample(certified(0.3), preset, activation=sort)
    plain, adversarial = (outcomes.sample(certified(0.1), other) for other in (PLAIN, ADVERSARIAL))
    others = [("plain", plain), ("PGD-trained", adversarial)]
    others += [("L2", outcomes.sample(certified(0.1), BY_L2))] if side == "ours" else []
    under = outcomes.sample(pgd(0.1), preset, activation=sort)
    return [
        ordering(
            "Sorting activations under L-infinity are certified further than ReLU, at 0.1",
            SIDES[side],
            [(f"certified at 0.1 in points, {sort} - ReLU", near, relu, 0.0)],
            places=1, published="shown as curves", evidence="proven",
        ),
        Check(
            "At 0.1 at least 40% are certified",
            f"{sort}: {near.text(1)}% at 0.1, {far.text(1)}% at 0.3",
            ((f"certified at 0.1 in percent, {sort}", above(near, 40)),),
            "79% at 0.1, 2% at 0.3 (read off its curves by later authors)", SIDES[side], "proven",
            "a tenth of the images and a twentieth of the epochs" if side == "paper" else "",
        ),
        ordering(
            "At 0.1 neither adversarial training nor an L2 constraint certifies as much",
            SIDES[side],
            [(f"certified at 0.1 in points, {sort} - {n}", near, o, 0.0) for n, o in others],
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
    judge_linf,
    LINF_PRESETS,
    attack_further,
)


# --- 5: L2, beside the published figures ----------------------------------------------------------

L2 = "robustness_l2"
L2_PRESETS = tuple(f"{side}/{L2}" for side in SIDES)
PUBLISHED_L2 = (
    ("the paper's FC-3, 1024x3 MaxMin, retrained by Li et al. 2019", "98.71", "54.46", "81.96"),
    ("BCOP-Large (Li et al. 2019)", "98.77", "56.66", ""),
    ("GloRo (Leino et al. 2021)", "", "62.8", ""),
    ("CRM (Huang et al. 2023)", "96.27", "63.37", ""),
)
"""Name, clean, certified at 1.58 and under PGD at 1.58: deterministic certificates, percent."""


def judge_l2(outcomes: Outcomes, folder: Path) -> Finding:
    """MaxMin is certified further than ReLU at every radius, under the same constraint."""
    arms, eps = outcomes.arms(*L2_PRESETS), radii(outcomes, L2_PRESETS[0])
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
        [list(row) for row in PUBLISHED_L2],
        "`lipsort train experiment=mnist_l2` is our long run.",
    )
    return Finding([_further(outcomes, side, eps) for side in SIDES], [made, known, picture])


def _further(outcomes: Outcomes, side: str, eps: list[float]) -> Check:
    pairs = [
        (f"certified at {value:g} in points, MaxMin - ReLU",
         *outcomes.sort_and_relu(certified(value), f"{side}/{L2}"), 0.0)
        for value in eps
    ]  # fmt: skip
    return ordering(
        "MaxMin is certified further than ReLU at every radius",
        SIDES[side], pairs, places=1, evidence="proven",
        published="54.46% at 1.58, 98.71% clean (Li et al. 2019, dense network)",
    )  # fmt: skip


ROBUSTNESS_L2 = Study(
    5,
    L2,
    "Robustness in L2",
    "Certified accuracy in L2 with little loss of clean accuracy, more of it with GroupSort.",
    judge_l2,
    L2_PRESETS,
)
