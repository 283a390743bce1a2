"""6: what becomes of gradients and units in deep networks, over depth and over training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError
from lipsort_cli.reports.blocks import Picture
from lipsort_cli.reproduction.draw import Curve, curves, labels
from lipsort_cli.reproduction.outcomes import SIDES, Arm, Metric, Outcome, Outcomes, table
from lipsort_cli.reproduction.statistics import Sample, below
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

NAME = "gradient_norm"
PRESETS = tuple(f"{side}/{NAME}" for side in SIDES)
NOT_FORCED = ("spectral", "parseval")
"""Constraints under which square layers may still shorten a gradient that MaxMin would keep."""


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    """The diagnostics of a run, in order."""
    found = outcome.lines("diagnostics")
    if not found:
        raise LipsortError(f"{outcome.directory}: no diagnostics were logged")
    return found


def last(key: str) -> Metric:
    """A diagnostic at the end of training (empirical)."""
    return lambda outcome: float(lines(outcome)[-1][key])


def mean_of(line: dict[str, Any], prefix: str) -> float:
    """Mean over the layers of what a line holds for each."""
    found = [float(value) for key, value in line.items() if key.startswith(prefix)]
    return sum(found) / len(found)


def frequent(outcome: Outcome) -> float:
    """Share of units active at 80 % of the inputs or more, all layers, at the end (empirical)."""
    return mean_of(lines(outcome)[-1], "frequent_units.")


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """MaxMin keeps more of the gradient than ReLU; constrained ReLU units are seldom off."""
    arms = outcomes.arms(*PRESETS)
    made = table(
        "Gradient norm, Jacobian and active units at the end of training",
        arms,
        [("gradient kept", last("gradient_kept"), 3), ("largest", last("jacobian_sigma_max"), 3),
         ("mean", last("jacobian_sigma_mean"), 3), ("smallest", last("jacobian_sigma_min"), 3),
         ("frequent units", frequent, 2)],
        "Empirical, at 32 images. Kept: norm of the margin's gradient at the input over that at "
        "the head, divided by L. Largest to smallest: singular values of d logits / d input. "
        "Frequent: units active (ReLU above 0, MaxMin pairs swapped) at 80 % of the images.",
    )  # fmt: skip
    kept = [arm for arm in arms if arm["constraint"] != "none"]
    relu = [arm for arm in arms if arm["activation"] == "relu"]
    pictures = [
        _by_depth(kept, folder / "gradient_by_depth.png"),
        _over_training(
            kept, folder / "jacobian_over_training.png", "jacobian_sigma_mean",
            "mean singular value / L", "Mean singular value of the Jacobian over training",
        ),
        _over_training(
            relu, folder / "activity_over_training.png", "frequent_units.", "share of ReLU units",
            "ReLU units active at 80 % of the images or more",
        ),
        _over_training(
            relu[:1], folder / "activity_by_layer.png", "", "share of ReLU units",
            f"The same by layer: {relu[0].label if relu else ''}",
        ),
    ]  # fmt: skip
    checks = [_kept(outcomes), _linear(outcomes), _loses(outcomes)]
    return Finding(checks, [made, *pictures])


def _by_depth(arms: list[Arm], path: Path) -> Picture:
    drawn: list[Curve] = []
    for arm, label in zip(arms, labels(arms), strict=True):
        final = {outcome.job.seed: lines(outcome)[-1] for outcome in arm.outcomes}
        keys = [key for key in next(iter(final.values())) if key.startswith("gradient_norm.")]
        depths = sorted(int(key.partition(".")[2]) for key in keys)
        # Relative to the gradient at the head's input, which is the same for all.
        top, constant = f"gradient_norm.{depths[-1]}", float(arm["model.lipschitz"] or 1)
        if constant != 1:  # the scaling layer before the head is no part of the body
            depths = depths[:-1]
        samples = [
            Sample({s: x[f"gradient_norm.{d}"] / (x[top] * constant) for s, x in final.items()})
            for d in depths
        ]
        drawn.append((label, [float(depth) for depth in depths], samples))
    ylabel, title = "gradient norm / that at the head", "Gradient norm on its way back"
    curves(path, drawn, xlabel="depth (0: input)", ylabel=ylabel, title=title)
    text = "Norm of the margin's gradient by depth, from right (head) to left (input); "
    return Picture(path, text + "curves at 1 coincide.")


def _over_training(arms: list[Arm], path: Path, key: str, ylabel: str, title: str) -> Picture:
    """A diagnostic, or the mean of those of all layers, over training; without one, by layer."""
    drawn: list[Curve] = []
    for arm, label in zip(arms, labels(arms), strict=True):
        found = {outcome.job.seed: lines(outcome) for outcome in arm.outcomes}
        first = next(iter(found.values()))
        keys = [key] if key else [k for k in first[0] if k.startswith("frequent_units.")]
        whole = float(arm["model.lipschitz"] or 1) if key.startswith("jacobian") else 1.0
        for one in keys:
            samples = [
                Sample({seed: mean_of(of[i], one) / whole for seed, of in found.items()})
                for i in range(len(first))
            ]
            name = label if key else f"layer {one.partition('.')[2]}"
            drawn.append((name, [float(line["step"]) for line in first], samples))
    curves(path, drawn, xlabel="training step", ylabel=ylabel, title=title)
    return Picture(path, f"{title}.")


def _kept(outcomes: Outcomes) -> Check:
    pairs = [
        (f"share of the gradient's norm kept, MaxMin - ReLU, {constraint}",
         *outcomes.sort_and_relu(last("gradient_kept"), PRESETS[0], constraint=constraint), 0.02)
        for constraint in NOT_FORCED
    ]  # fmt: skip
    return ordering(
        "Where the constraint does not force it, MaxMin keeps more of the gradient than ReLU",
        SIDES["paper"], pairs, published="kept by GroupSort, not by ReLU (curves)",
    )  # fmt: skip


def _linear(outcomes: Outcomes) -> Check:
    bound, free = (
        outcomes.sample(frequent, PRESETS[0], activation="relu", constraint=constraint)
        for constraint in ("bjorck_authors", "none")
    )
    return ordering(
        "Under an orthonormal constraint more ReLU units are active nearly always than without",
        SIDES["paper"], [("share of units, orthonormal - unconstrained", bound, free, 0.0)],
        places=2, published="they are: ReLU gives up nonlinearity to keep the gradient (curves)",
    )  # fmt: skip


def _loses(outcomes: Outcomes) -> Check:
    arms = outcomes.arms(PRESETS[1], activation="relu")
    found = [(f"L = {arm['model.lipschitz']}", arm.sample(last("gradient_kept"))) for arm in arms]
    return Check(
        "Orthonormal ReLU networks lose over 2% of the gradient (MaxMin none, by construction)",
        "; ".join(f"{label}: {sample.text()}" for label, sample in found),
        tuple((f"share kept, ReLU, {label}", below(sample, 0.98)) for label, sample in found),
        "kept by GroupSort, not by ReLU (curves)", SIDES["ours"],
    )  # fmt: skip


GRADIENT_NORM = Study(
    6,
    NAME,
    "Gradient-norm preservation",
    "GroupSort with constrained weights keeps the gradient's norm through every layer.",
    judge,
    PRESETS,
)
