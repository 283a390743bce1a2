"""What both robustness experiments share: accuracies over the radius, from runs and attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from lipsort_cli.reports.blocks import Picture
from lipsort_cli.reproduction.draw import Curve, curves, labels
from lipsort_cli.reproduction.jobs import Job, follow_up
from lipsort_cli.reproduction.outcomes import Arm, Column, Metric, Outcome, Outcomes, at, bound_from

FGSM, NEAREST = "fgsm", "nearest"
"""Names of the attacks that follow a run."""


def clean(outcome: Outcome) -> float:
    """Clean accuracy in percent (empirical)."""
    return 100 * float(outcome.results["clean_accuracy"])


def certified(eps: float) -> Metric:
    """Certified accuracy in percent (proven)."""
    return bound_from("below")(_percent(at("certified_accuracy", "eps", f"{eps}")))


def pgd(eps: float) -> Metric:
    """Accuracy under PGD in percent (empirical)."""
    return _percent(at("attacked_accuracy", "eps", f"{eps}"))


def attacked(eps: float) -> Metric:
    """Accuracy under the attacks that follow a run, in percent (empirical)."""
    return _percent(at("attacked_accuracy", "eps", f"{eps}", file="attack.json"))


def _percent(metric: Metric) -> Metric:
    return lambda outcome: 100 * metric(outcome)


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
