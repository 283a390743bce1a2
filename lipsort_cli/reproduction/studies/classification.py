"""2: clean error and the proven bound of the Lipschitz constant, activation by constraint."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lipsort_cli.reports.blocks import Picture
from lipsort_cli.reproduction.draw import dots
from lipsort_cli.reproduction.outcomes import SIDES, Outcome, Outcomes, at, bound_from, table
from lipsort_cli.reproduction.statistics import above, below
from lipsort_cli.reproduction.studies.robustness import certified
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

PRESETS = (
    "paper/classification",
    "paper/classification_dropout",
    "paper/classification_jacobian",
    "paper/classification_bjorck",
    "paper/classification_linf",
    "ours/classification",
)
KEPT = ("bjorck", "spectral", "linf", "orthonormal")
"""Constraints that bound a layer by 1."""
ORTHONORMAL = {"paper": ("paper/classification_bjorck", "bjorck"),
               "ours": ("ours/classification", "orthonormal")}  # fmt: skip
_SMALL = "MNIST in part and few epochs: the published differences are some tenths of a point"


def error(outcome: Outcome) -> float:
    """Clean test error in percent (empirical)."""
    return 100 * (1 - float(outcome.results["clean_accuracy"]))


bound = bound_from("above")(at("lipschitz_bound"))
"""Proven bound of the Lipschitz constant."""


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """Constraints hold to rounding, nothing else bounds; what they cost; GroupSort's margins."""
    arms = outcomes.arms(*PRESETS)
    pictures = []
    for kind, metric, label, caption in (
        ("error", error, "clean test error (%)", "Clean error of every kind of training."),
        ("bound", bound, "proven bound of the Lipschitz constant",
         "Proven bound, logarithmic: 1 where weights are constrained, tens to thousands without."),
    ):  # fmt: skip
        path = folder / f"classification_{kind}.png"
        title = "MNIST: " + ("what a constraint costs" if kind == "error" else "what is known")
        dots(path, arms, metric, xlabel=label, title=title, log=kind == "bound")
        pictures.append(Picture(path, caption))
    made = table(
        "MNIST classification: clean error and bound",
        arms,
        [("test error (%)", error, 2), ("Lipschitz bound", bound, 4)],
        "Error: empirical. Bound: proven, L2 to L2, L-infinity to L-infinity for linf.",
    )
    checks = [_bounded(outcomes, side) for side in SIDES]
    checks += [_unbounded(outcomes), _dropout(outcomes)]
    checks += [check for side in SIDES for check in _activations(outcomes, side)]
    return Finding(checks, [made, *pictures])


def _bounded(outcomes: Outcomes, side: str) -> Check:
    chosen = [p for p in PRESETS if p.startswith(side)]
    arms = [arm for arm in outcomes.arms(*chosen) if arm["constraint"] in KEPT]
    exact = tuple(
        (f"bound at most 1 + 1e-4 in all runs, {arm.label}",
         max(arm.sample(bound).values) <= 1 + 1e-4)
        for arm in arms
    )  # fmt: skip
    near = outcomes.arms("paper/classification", constraint="parseval") if side == "paper" else []
    return Check(
        "Constraints hold: the bound is 1; Parseval is near, below 2",
        "; ".join(f"{arm.label} {arm.sample(bound).text(4)}" for arm in near) or "1 in all runs",
        tuple((f"bound, {arm.label}", below(arm.sample(bound), 2)) for arm in near),
        "1 by construction", SIDES[side], "proven", exact=exact,
    )  # fmt: skip


def _unbounded(outcomes: Outcomes) -> Check:
    free = ("paper/classification", "paper/classification_dropout", "paper/classification_jacobian")
    arms = outcomes.arms(*free, constraint="none", activation="relu")
    return Check(
        "Without a constraint little is known: the bound exceeds 5, dropout and penalty included",
        "; ".join(f"{arm.label} {arm.sample(bound).text(1)}" for arm in arms),
        tuple((f"bound, {arm.label}", above(arm.sample(bound), 5)) for arm in arms),
        "not bounded", SIDES["paper"], "proven",
    )  # fmt: skip


def _dropout(outcomes: Outcomes) -> Check:
    plain, dropped = (
        outcomes.sort_and_relu(error, f"paper/classification{kind}", constraint="none")
        for kind in ("", "_dropout")
    )
    pairs = [
        (f"clean error in points, standard - dropout, {name}", one, other, 0.0)
        for name, one, other in zip(("maxmin", "relu"), plain, dropped, strict=True)
    ]
    return ordering(
        "Dropout lowers the clean error of unconstrained networks",
        SIDES["paper"], pairs, places=2, published="it does, on all of MNIST", reason=_SMALL,
    )  # fmt: skip


def _activations(outcomes: Outcomes, side: str) -> list[Check]:
    preset, constraint = ORTHONORMAL[side]
    both = partial(outcomes.sort_and_relu, preset=preset, constraint=constraint)
    sort, relu = both(error)
    further = [
        (f"points certified at {eps}, MaxMin - ReLU", *both(certified(eps)), 0.0)
        for eps in (0.3, 0.5, 1.0)
    ]
    return [
        ordering(
            "Under an orthonormal constraint MaxMin's clean error is below ReLU's",
            SIDES[side], [("clean error in points, ReLU - MaxMin", relu, sort, 0.0)],
            places=2, published="it is, on all of MNIST", reason=_SMALL,
        ),
        ordering(
            "Under an orthonormal constraint MaxMin is certified further than ReLU",
            SIDES[side], further, places=1, published="not looked at", evidence="proven",
        ),
    ]  # fmt: skip


CLASSIFICATION = Study(
    2,
    "classification",
    "MNIST classification: activation by constraint",
    "Constrained GroupSort networks classify as well as others, with a constant that is known.",
    judge,
    PRESETS,
)
