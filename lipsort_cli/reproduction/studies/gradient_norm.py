"""6: what becomes of the gradient on its way back through a deep network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError
from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.draw import Curve, curves
from lipsort_cli.reproduction.outcomes import Metric, Outcome, Outcomes
from lipsort_cli.reproduction.statistics import Sample, above, greater
from lipsort_cli.reproduction.study import Check, Finding, Study

NAME = "gradient_norm"
ARMS = tuple(
    (f"{label}, L = {constant}", activation, constant)
    for constant in (1, 10)
    for label, activation in (("MaxMin", "maxmin"), ("ReLU", "relu"))
)


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    """The diagnostics of a run, in order."""
    found = outcome.lines("diagnostics")
    if not found:
        raise LipsortError(f"{outcome.directory}: no diagnostics were logged")
    return found


def last(key: str) -> Metric:
    """A diagnostic at the end of training (empirical)."""
    return lambda outcome: float(lines(outcome)[-1][key])


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """MaxMin keeps the gradient's norm through all layers; ReLU loses some in each."""
    rows = []
    for label, activation, constant in ARMS:
        arm = _arm(activation, constant)
        keys = ("gradient_kept", "jacobian_sigma_max", "jacobian_sigma_mean", "jacobian_sigma_min")
        row = [outcomes.sample(last(key), NAME, **arm).text(3) for key in keys]
        rows.append([label, *row, outcomes.sample(active, NAME, **arm).text(2)])
    table = Table(
        "Gradient norm, Jacobian and active units at the end of training",
        ["network", "gradient kept", "largest", "mean", "smallest", "active units"],
        rows,
        "Empirical, at 32 images; mean ± standard deviation over seeds. Kept: norm of the "
        "margin's gradient at the input over that at the head, divided by L. Largest to smallest: "
        "singular values of d logits / d input. Active: ReLU units above 0, MaxMin pairs swapped.",
    )
    pictures = [
        _by_depth(outcomes, folder / "gradient_by_depth.png"),
        _over_training(outcomes, folder / "jacobian_over_training.png"),
    ]
    return Finding(_checks(outcomes), [table, *(p for p in pictures if p is not None)])


def active(outcome: Outcome) -> float:
    """Mean share over the activations at the end of training."""
    line = lines(outcome)[-1]
    shares = [value for key, value in line.items() if key.startswith("active_units.")]
    return sum(shares) / len(shares)


def _arm(activation: str, constant: int) -> dict[str, object]:
    return {"activation": activation, "model__lipschitz": constant}


def _by_depth(outcomes: Outcomes, path: Path) -> Picture | None:
    drawn: list[Curve] = []
    for label, activation, constant in ARMS:
        found = outcomes.of(NAME, **_arm(activation, constant))
        if not found:
            continue
        keys = [key for key in lines(found[0])[-1] if key.startswith("gradient_norm.")]
        depths = sorted(int(key.partition(".")[2]) for key in keys)
        # Relative to the gradient at the head's input, which is the same for all.
        top = f"gradient_norm.{depths[-1]}"
        samples = [
            Sample({
                o.job.seed: lines(o)[-1][f"gradient_norm.{depth}"] / (lines(o)[-1][top] * constant)
                for o in found
            })
            for depth in depths
        ]  # fmt: skip
        if constant != 1:  # the scaling layer before the head is no part of the body
            depths, samples = depths[:-1], samples[:-1]
        drawn.append((label, [float(depth) for depth in depths], samples))
    if not drawn:
        return None
    curves(
        path,
        drawn,
        xlabel="depth (0: input)",
        ylabel="gradient norm / that at the head",
        title="Gradient norm on its way back",
        styles=("-", "--"),
    )
    return Picture(
        path,
        "Norm of the margin's gradient by depth, read from right (head) to left (input): MaxMin "
        "stays at 1, ReLU loses a share in each layer, most of it at L = 10.",
    )


def _over_training(outcomes: Outcomes, path: Path) -> Picture | None:
    drawn: list[Curve] = []
    for label, activation, constant in ARMS:
        found = outcomes.of(NAME, **_arm(activation, constant))
        if not found:
            continue
        steps = [line["step"] for line in lines(found[0])]
        samples = [
            Sample({o.job.seed: lines(o)[i]["jacobian_sigma_mean"] / constant for o in found})
            for i in range(len(steps))
        ]
        drawn.append((label, [float(step) for step in steps], samples))
    if not drawn:
        return None
    curves(
        path,
        drawn,
        xlabel="training step",
        ylabel="mean singular value / L",
        title="Singular values of the Jacobian over training",
        styles=("-", "--"),
    )
    return Picture(
        path,
        "Mean singular value of the Jacobian, in units of L, over training: 1 for MaxMin from the "
        "first step to the last; ReLU uses a part of what the constraint allows.",
    )


def _checks(outcomes: Outcomes) -> list[Check]:
    found = []
    for constant in (1, 10):
        sort, relu = (
            outcomes.sample(last("gradient_kept"), NAME, **_arm(activation, constant))
            for activation in ("maxmin", "relu")
        )
        smallest, other = (
            outcomes.sample(last("jacobian_sigma_min"), NAME, **_arm(activation, constant))
            for activation in ("maxmin", "relu")
        )
        found.append(
            Check(
                f"GroupSort keeps the gradient's norm where ReLU loses some, L = {constant}",
                f"kept: MaxMin {sort.text(4)}, ReLU {relu.text(3)}",
                (
                    ("share of the gradient's norm kept, MaxMin", above(sort, 0.99)),
                    ("share of the gradient's norm kept, MaxMin - ReLU", greater(sort, relu, 0.02)),
                    (
                        "smallest singular value of the Jacobian, MaxMin - ReLU",
                        greater(smallest, other, 0.3 * constant),
                    ),
                ),
                published="kept by GroupSort, not by ReLU (curves)",
            )
        )
    return found


GRADIENT_NORM = Study(
    6,
    NAME,
    "Gradient-norm preservation",
    "GroupSort with orthonormal weights keeps the gradient's norm through every layer.",
    judge,
    (NAME,),
)
