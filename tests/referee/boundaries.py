"""Trials of radii: points just inside each certified ball, towards the nearest boundary."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import adapter
import numpy as np
from definitions import evaluate
from exact_arithmetic import precisely
from networks import Drawing, draw_inputs, draw_network, finer
from rounded_arithmetic import Rounded, draw_machine
from tally import Tally
from trials import PLAIN, build, describe, exactly, jacobian, on, steepest

FARTHEST = 64.0
"""How many radii away a fooling point is looked for, to see how tight radii are."""


def try_radii(rng: np.random.Generator, tally: Tally, op: str = "", points: int = 6) -> None:
    """One network with two or more classes, its points and radii, in one norm and arithmetic."""
    drawing = draw_network(rng, op, extreme=bool(rng.random() < 0.5))
    if drawing.classes < 2:
        return
    x = draw_inputs(rng, drawing, points)
    try:
        network = build(drawing)
    except adapter.Refused:
        tally.refuse(drawing.operations())
        return
    check_radii(rng, tally, drawing, network, x)


def check_radii(
    rng: np.random.Generator, tally: Tally, drawing: Drawing, network: Any, x: np.ndarray
) -> None:
    """No point of a certified ball loses its label; counts every point tried."""
    if rng.random() < 0.3:
        x = finer(rng, x)
    norm = str(rng.choice(adapter.NORMS))
    arithmetic = str(rng.choice(["real", "binary64", "binary32"]))
    try:
        logits, _ = adapter.errors(network, x, norm, "real")
        labels = np.nan_to_num(logits, nan=-np.inf).argmax(axis=1)
        radii = adapter.radii(network, x, labels, norm, arithmetic)
        if rng.random() < 0.25:
            x = approached(network, x, labels, radii, norm, arithmetic)
            radii = adapter.radii(network, x, labels, norm, arithmetic)
    except adapter.Refused:
        tally.refuse(drawing.operations())
        return
    for point, label, radius in zip(x, labels.tolist(), radii.tolist(), strict=True):
        if not radius > 0:
            tally.unbounded += 1
            continue
        directions = _directions(rng, drawing, point, label, radius, norm)
        near = [inside(point, direction, radius, norm, arithmetic) for direction in directions]
        moved = np.array([other for other in near if other is not None])
        if not len(moved):  # no number of the arithmetic lies in the ball
            tally.unbounded += 1
            continue
        words = f"radius {radius!r} in {norm}, {arithmetic}, label {label}: {describe(drawing)}"
        closest = _closest(drawing, point, label, radius, directions)
        tally.count(drawing.operations(), len(moved), closest)
        if arithmetic == "real":
            if _lost_exactly(drawing, moved, label):
                tally.violate(words)
            continue
        for _ in range(3):
            machine = draw_machine(rng, arithmetic)
            found = on(machine, drawing.chain, moved)
            if machine.flush == "everything":
                found = np.where(np.abs(found) < Rounded(machine).tiny, 0.0, found)
            if not _keeps(found, label).all():
                tally.violate(f"{machine}: {words}")


def approached(
    network: Any,
    x: np.ndarray,
    labels: np.ndarray,
    radii: np.ndarray,
    norm: str,
    arithmetic: str,
) -> np.ndarray:
    """Points moved towards others of another label until hardly anything is certified.

    There the lead is about what rounding may lose, and any error that was forgotten decides.
    """
    kind = np.float32 if arithmetic == "binary32" else np.float64
    kept, beyond = x.copy(), x.copy()
    for row in range(len(x)):
        others = np.flatnonzero(labels != labels[row])
        beyond[row] = x[others[row % len(others)]] if len(others) else x[row]
    for _ in range(26):
        middle = (kept / 2 + beyond / 2).astype(kind).astype(np.float64)
        certified = adapter.radii(network, middle, labels, norm, arithmetic) > 0
        kept[certified], beyond[~certified] = middle[certified], middle[~certified]
    return np.where((radii > 0)[:, None], kept, x)


def _directions(
    rng: np.random.Generator,
    drawing: Drawing,
    point: np.ndarray,
    label: int,
    radius: float,
    norm: str,
) -> np.ndarray:
    """Directions of length at most about 1 in ``norm``: towards each other class, and random."""
    slopes = jacobian(drawing.chain, point, min(radius, 1e6) / 2)
    found = [np.zeros(len(point))]
    for other in range(drawing.classes):
        if other != label:
            towards = slopes[other] - slopes[label]
            direction = steepest(towards[None], norm)
            found += [direction, -direction]
    for _ in range(3):
        step = rng.standard_normal(len(point))
        found.append(step / np.linalg.norm(step, {"l2": 2, "linf": np.inf, "l1": 1}[norm]))
    return np.stack(found)


def inside(
    point: np.ndarray, direction: np.ndarray, radius: float, norm: str, arithmetic: str
) -> np.ndarray | None:
    """``point + radius direction`` in numbers of ``arithmetic``, no farther than ``radius``.

    None where rounding leads out of the ball all along the way to its centre.
    """
    kind = np.float32 if arithmetic == "binary32" else np.float64
    centre, share = [Fraction(float(value)) for value in point], 1.0
    for trial in range(60):
        with np.errstate(all="ignore"):
            moved = (point + radius * share * direction).astype(kind)
            # Towards the centre where rounding went outwards: a radius may be below one step.
            toward = np.nextafter(moved, point.astype(kind))
        if not np.isfinite(moved).all():
            share *= 0.5
            continue
        wide = np.abs(moved.astype(np.float64) - point) > np.abs(radius * share * direction)
        moved = np.where(wide, toward, moved).astype(np.float64)
        apart = [abs(Fraction(float(v)) - c) for v, c in zip(moved, centre, strict=True)]
        limit = Fraction(radius)
        if norm == "l2":
            within = sum(value * value for value in apart) <= limit * limit
        else:
            within = (max(apart) if norm == "linf" else sum(apart)) <= limit
        if within:
            return moved
        share = share * (1 - 2.0**-48) if trial < 16 else share * 0.7
    return None


def _keeps(logits: np.ndarray, label: int) -> np.ndarray:
    """Whether the label's logit is strictly above every other one, at each point."""
    others = np.delete(logits, label, axis=1)
    with np.errstate(all="ignore"):
        return np.asarray((logits[:, label][:, None] > others).all(axis=1))


def _lost_exactly(drawing: Drawing, moved: np.ndarray, label: int) -> bool:
    with precisely():
        for row in exactly(drawing.chain, moved):
            for other, value in enumerate(row):
                if other != label and (row[label] - value).upper() <= 0:
                    return True
    return False


def _closest(
    drawing: Drawing, point: np.ndarray, label: int, radius: float, directions: np.ndarray
) -> float:
    """The radius over the distance of the nearest fooling point found along ``directions``."""
    arithmetic = Rounded(PLAIN)

    def fooled(share: float) -> bool:
        with np.errstate(all="ignore"):
            at = evaluate(drawing.chain, arithmetic, point + share * radius * directions)
        return not bool(_keeps(at, label).all())

    low, high = 1.0, FARTHEST
    if not math.isfinite(radius * high) or not fooled(high):
        return 0.0
    for _ in range(12):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fooled(middle) else (middle, high)
    return 1 / high
