"""What both robustness experiments share: accuracies over the radius, from runs and attacks."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reproduction.jobs import Job, follow_up
from lipsort_cli.reproduction.outcomes import Metric, Outcome, Outcomes, at
from lipsort_cli.reproduction.statistics import Sample

FGSM_POINTS = 500


def clean(outcome: Outcome) -> float:
    """Clean accuracy in percent (empirical)."""
    return 100 * float(outcome.results["clean_accuracy"])


def certified(eps: float) -> Metric:
    """Certified accuracy in percent (proven)."""
    return _percent(at("certified_accuracy", "eps", f"{eps}"))


def pgd(eps: float) -> Metric:
    """Accuracy under PGD in percent (empirical)."""
    return _percent(at("attacked_accuracy", "eps", f"{eps}"))


def fgsm(eps: float) -> Metric:
    """Accuracy under FGSM in percent (empirical)."""
    return _percent(at("attacked_accuracy", "eps", f"{eps}", file="attack.json"))


def _percent(metric: Metric) -> Metric:
    return lambda outcome: 100 * metric(outcome)


def attack_by_fgsm(jobs: list[Job], out: Path) -> list[Job]:
    """`lipsort attack` with FGSM alone, of every run: PGD is part of the run itself."""
    return [
        follow_up(
            "attack",
            (
                f"run='{job.directory.absolute()}'",
                "methods=[fgsm]",
                f"points={FGSM_POINTS}",
                "arithmetic=real",
            ),
            [job],
            out,
        )
        for job in jobs
    ]


def radii(outcomes: Outcomes, preset: str) -> list[float]:
    """The radii that the runs of a preset were evaluated at."""
    found = outcomes.of(preset)
    if not found:
        return []
    return sorted(map(float, found[0].results["certified_accuracy"]["eps"]))


def over_radii(
    outcomes: Outcomes, metric: object, eps: list[float], preset: str, **arm: object
) -> list[Sample]:
    """A figure at every radius; ``metric`` makes it from the radius."""
    assert callable(metric)
    return [outcomes.sample(metric(value), preset, **arm) for value in eps]
