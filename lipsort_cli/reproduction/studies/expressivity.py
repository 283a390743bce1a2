"""1: which activations let a norm-constrained network come close to a known potential."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Picture
from lipsort_cli.reproduction.draw import dots
from lipsort_cli.reproduction.outcomes import SIDES, Outcome, Outcomes, bound_from, table
from lipsort_cli.reproduction.statistics import above
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

PROBLEMS = {
    "absolute_value": "absolute value",
    "absolute_value_linf": "absolute value, L-infinity",
    "three_cones": "three cones",
    "cone": "cone in 128 dimensions",
}
BEST = {"absolute_value_linf": "maxmin"}
"""The activation that comes closest, where it is not FullSort."""
CLOSE = {"paper": 0.9, "ours": 0.95}
"""Share of the true distance that counts as close to it."""
_PUBLISHED = {
    "three_cones": "shown as surfaces, without figures",
    "cone": "shown as curves: FullSort close to 1, ReLU far from it",
}
"""What the paper says; of the absolute value it is Theorem 1."""


@bound_from("below")
def share(outcome: Outcome) -> float:
    """Proven lower bound over the true distance."""
    results = outcome.results
    return float(results["lower_bound"]["value"]) / float(results["true"])


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """GroupSort reaches what ReLU cannot, problem by problem and constraint by constraint."""
    finding = Finding()
    for name, title in PROBLEMS.items():
        arms = outcomes.arms(*(f"{side}/{name}" for side in SIDES))
        finding.blocks.append(
            table(
                f"{title}: proven lower bound of W1 over the true distance",
                arms,
                [("share of the distance", share, 3)],
                "1 is the whole distance. Proven for the samples compared.",
            )
        )
        path = folder / f"{name}.png"
        label, reference = "proven lower bound of W1 / true distance", (1.0, "true distance")
        dots(path, arms, share, xlabel=label, title=title, reference=reference)
        text = "the share of the true distance that critics prove. A dot a seed, a bar their mean."
        finding.blocks.append(Picture(path, f"{title}: {text}"))
        for outcome in outcomes.of(f"ours/{name}", activation="fullsort")[:1]:
            surface = outcome.directory / "figures" / "potential.png"
            finding.blocks.append(Picture(surface, f"{title}: the potential found (FullSort)."))
        for side in SIDES:
            finding.checks += _checks(outcomes, side, name, title)
    return finding


def _checks(outcomes: Outcomes, side: str, name: str, title: str) -> list[Check]:
    preset, pairs = f"{side}/{name}", []
    for arm in outcomes.arms(preset, activation="maxmin"):
        key = arm["constraint"]
        both = outcomes.sort_and_relu(share, preset, constraint=key)
        pairs.append((f"share of the distance, MaxMin - ReLU, {key}", *both, 0.05))
    published = _PUBLISHED.get(name, "MaxMin exact, ReLU cannot (Theorem 1)")
    best, bar = BEST.get(name, "fullsort"), CLOSE[side]
    close = [
        (f"share of the distance, {best}, {arm['constraint']}", arm.sample(share))
        for arm in outcomes.arms(preset, activation=best)
        if arm["constraint"] in ("bjorck_authors", "orthonormal", "linf")
    ]
    return [
        ordering(
            f"{title}: MaxMin critics prove more of the distance than ReLU, by 0.05 of it",
            SIDES[side], pairs, published=published, evidence="proven",
        ),
        Check(
            f"{title}: a sorting critic comes close to the distance "
            f"({CLOSE['paper']:g} of it as published, {CLOSE['ours']:g} ours)",
            "; ".join(f"{what} {sample.text()}" for what, sample in close),
            tuple((what, above(sample, bar)) for what, sample in close),
            published, SIDES[side], "proven",
            reason="few steps of a constant rate" if side == "paper" else "",
        ),
    ]  # fmt: skip


EXPRESSIVITY = Study(
    1,
    "expressivity",
    "Expressivity: potentials with kinks",
    "Norm-constrained ReLU networks cannot represent simple 1-Lipschitz functions; GroupSort can.",
    judge,
    tuple(f"{side}/{name}" for name in PROBLEMS for side in SIDES),
)
