"""One sentence of interpretation for each diagnostic, written from the measured figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.console import plural
from lipsort_cli.directed_text import at_most
from lipsort_cli.inspection.activity import ACTIVE, FOLDED, SWAPPED, SWITCHED
from lipsort_cli.inspection.measure import Measured
from lipsort_cli.norms import NAMES, route_name

Array = NDArray[np.float64]
_NEAR = 0.01
"""Relative distance up to which a figure counts as 1."""


def of_constants(
    norm: str, constants: Mapping[str, float], per_deviation: float | None = None
) -> dict[str, Any]:
    """Proven constants in ``norm``, by the norm that layers are bounded in: the least counts.

    ``per_deviation``: the same where inputs count in standard deviations of the training rows.
    """
    best = min(constants, key=lambda route: (constants[route], route != norm))
    others = [
        f"{at_most(value, 4)} in {route_name(route)}"
        for route, value in constants.items()
        if route != best
    ]
    scaled = {} if per_deviation is None else {"value_in_deviations": per_deviation}
    counted = (
        f" With inputs in standard deviations of the training rows it is at most "
        f"{at_most(per_deviation, 6)} (proven)."
        if per_deviation is not None
        else ""
    )
    return {
        "evidence": "proven",
        "norm": norm,
        "value": constants[best],
        **scaled,
        "route": best,
        "routes": dict(constants),
        "interpretation": f"In {NAMES[norm]} outputs change at most {at_most(constants[best], 6)} "
        f"times as much as inputs (proven), layers bounded in {route_name(best)}; "
        f"otherwise it would be {', '.join(others)}.{counted}",
    }


def of_layers(measured: Measured) -> str:
    """What the singular values of the layers say of the network's constant and of lost norm."""
    layers = measured.layers
    if not layers:
        return "No layer is linear: there are no singular values."
    top = max(layers, key=lambda layer: float(layer.values[0]))
    bottom = min(layers, key=lambda layer: float(layer.values[-1]))
    high, low = float(top.values[0]), float(bottom.values[-1])
    partly = [layer.name for layer in layers if not layer.complete]
    note = f" (of layer {', '.join(partly)} only the largest were computed)" if partly else ""
    if not partly and abs(high - 1) < _NEAR and abs(low - 1) < _NEAR:
        return (
            f"All singular values of the {plural(len(layers), 'layer')} lie within "
            f"{at_most(max(abs(high - 1), abs(low - 1)), 1)} of 1: the layers are orthonormal, and "
            "none of them shrinks a signal or a gradient on its side of fewer dimensions."
        )
    values = np.concatenate([layer.values for layer in layers])
    small = float((values < 0.5 * high).mean())
    text = (
        f"Singular values reach from {low:.3g} (layer {bottom.name}) to {high:.3g} (layer "
        f"{top.name}){note}, and {small:.0%} of them are below half of the largest"
    )
    product = measured.layer_product
    if math.isnan(product):
        why = "has branches" if measured.all_linear else "has layers that are not linear"
        return f"{text}; the network {why}, so no product of them is its constant."
    if high <= 1 + _NEAR:
        return f"{text}: no layer stretches, but directions that one shrinks are lost to the next."
    return (
        f"{text}: layers stretch in L2, and the L2 constant that follows, the product of the "
        f"largest and of the other layers' constants, is {product:.3g}."
    )


def of_jacobian(measured: Measured) -> str:
    """How far the network is from an isometry, and from the constant of its layers."""
    first = measured.sigma[0]
    high, low = float(first[:, 0].mean()), float(first[:, -1].mean())
    if high == 0:
        return (
            f"At {plural(len(first), 'point')} the outputs' Jacobian is zero: small changes of "
            "the input change nothing."
        )
    bound = measured.layer_product
    share = high / bound if bound > 0 else 0.0
    text = (
        f"At {plural(len(first), 'point')} the largest singular value of the outputs' Jacobian is "
        f"{high:.3g} on average"
    )
    if not math.isnan(bound):
        text += f", {_percent(share)} of the product of the layers' ({bound:.3g})"
    if first.shape[1] == 1:
        if math.isnan(bound):
            return f"{text}: that is the length of its gradient."
        end = "the constant is reached" if share > 0.95 else "the bound is loose there"
        return f"{text}: {end}."
    if low > 0.9 * high:
        return f"{text}, and the smallest {low:.3g}: every direction of the outputs is kept alike."
    return (
        f"{text}, the smallest {low:.3g}: some combinations of outputs move "
        f"{_times(high, low)} less than others under the same change of the input."
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{100 * share:.1g}%"


def _times(high: float, low: float) -> str:
    ratio = high / low if low > 0 else math.inf
    return f"{ratio:.2g} times" if ratio < 1e6 else "more than a million times"


def of_gradient(measured: Measured) -> str:
    """Whether the back-propagated gradient arrives, and where most of it is lost."""
    kept = measured.kept[np.isfinite(measured.kept)]
    if not len(kept):
        return "No gradient reaches the last layer's input: the margin is flat at these points."
    share = float(kept.mean())
    scaled = (
        "" if measured.scaling == 1 else f" (its scaling by {measured.scaling:.3g} divided out)"
    )
    text = (
        f"Of the norm that the margin's gradient has before the last layer{scaled}, {share:.0%} "
        f"arrives at the input (from {kept.min():.0%} to {kept.max():.0%} over the points)"
    )
    if max(abs(kept.min() - 1), abs(kept.max() - 1)) < _NEAR:
        return f"{text}: the network preserves gradient norm."
    means = measured.norms.mean(0)
    if share > 1:
        return f"{text}: layers amplify the gradient on its way back."
    if share > 1 - _NEAR:
        return f"{text}: the norm is kept on average only."
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = means[:-1] / means[1:]
    for depth, name in enumerate(measured.depths[1:]):
        if name in ("Scale", "Normalize"):
            ratios[depth] = np.nan  # a known scaling loses nothing
    if not (ratios < 1).any():
        return f"{text}."
    worst = int(np.nanargmin(ratios))
    return (
        f"{text}; most is lost in the {measured.depths[worst + 1]} before depth {worst + 1}, which "
        f"passes {ratios[worst]:.0%} of it back."
    )


def of_activations(measured: Measured) -> str:
    """What the activations do, and how much of them is linear on the sample."""
    found = measured.activities
    if not found:
        return "No activation of a kind that can be measured."
    shares = [one.share for one in found]
    linear = float(np.mean([one.linear for one in found]))
    kinds = list(dict.fromkeys(one.measure for one in found))
    text = f"{kinds[0][0].upper()}{kinds[0][1:]}: " + (
        f"{shares[0]:.0%} in the first and {shares[-1]:.0%} in the last of {len(shares)} "
        "activations"
        if len(shares) > 1
        else f"{shares[0]:.0%}"
    )
    dead = [one.dead for one in found if one.dead is not None]
    if kinds[0] == ACTIVE and dead:
        text += f"; {max(dead):.0%} of the units of some layer are off at every point"
    meaning = {
        ACTIVE: "do the same at every point"
        + (", and where units are off their gradient is lost" if dead else ""),
        SWAPPED: "are in the same order at every point; sorting loses no gradient either way",
        FOLDED: "fold at every point or at none; folding loses no gradient",
        SWITCHED: "are won by the same unit at every point; the others get no gradient",
    }.get(kinds[0], "do the same at every point; where they saturate, gradients vanish")
    noun = {SWAPPED: "pairs", SWITCHED: "groups' results"}.get(kinds[0], "units")
    return f"{text}. {linear:.0%} of the {noun} {meaning}."


def of_input_gradients(labels: Sequence[str], aligned: Array, smooth: Array | None) -> str:
    """Which network's input gradients look most like pictures; means over points, by network."""
    if not aligned.any():
        return "The margin's gradient is zero at these points: there is nothing to see."
    parts = []
    for index, label in enumerate(labels):
        text = f"{label} {aligned[index]:.2f}"
        if smooth is not None:
            text = f"{label} {smooth[index]:.2f} (with the image {aligned[index]:.2f})"
        parts.append(text)
    if smooth is None:
        lead = "Cosine between input gradient and input: "
    else:
        lead = "Correlation of neighbouring pixels of the input gradients (white noise: 0): "
    sentence = lead + ", ".join(parts)
    judged = aligned if smooth is None else smooth
    if len(labels) > 1:
        best, worst = int(np.nanargmax(judged)), int(np.nanargmin(judged))
        gap = float(judged[best] - judged[worst])
        if gap < 0.05:
            return f"{sentence}: hardly a difference between these networks."
        what = "smoothest" if smooth is not None else "most aligned"
        return f"{sentence}: those of {labels[best]} are the {what}, of {labels[worst]} the least."
    if smooth is None:
        return f"{sentence}."
    if judged[0] > 0.5:
        return f"{sentence}: they form strokes rather than noise."
    return f"{sentence}: they are closer to noise than to strokes."


def of_training(log: Sequence[dict[str, Any]]) -> str:
    """How Jacobian and gradient changed from the first logged step to the last."""
    first, last = log[0], log[-1]

    def change(key: str) -> str:
        return f"from {first[key]:.3g} to {last[key]:.3g}"

    start, end = first["gradient_kept"], last["gradient_kept"]
    if abs(end - 1) < _NEAR and abs(start - 1) < _NEAR:
        verdict = "gradient norm is preserved all the way"
    elif abs(end - start) < _NEAR:
        verdict = "its share hardly changes"
    else:
        verdict = "training recovers norm" if end > start else "training loses norm"
    return (
        f"From step {first['step']} to {last['step']} the mean singular value of the outputs' "
        f"Jacobian went {change('jacobian_sigma_mean')}, and the share of the gradient's norm that "
        f"arrives at the input {change('gradient_kept')}: {verdict}."
    )
