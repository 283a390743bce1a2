"""Trials: the verifier's bounds against exact values, hostile machines and worst directions.

Each trial draws one network, asks the verifier (through :mod:`adapter`) and counts in a tally.
"""

from __future__ import annotations

import math
from typing import Any

import adapter
import numpy as np
from definitions import Node, evaluate
from drawing import CHARACTERS, Pen, draw_operation
from exact_arithmetic import EXACT, precisely
from flint import arb
from networks import Drawing, draw_inputs, draw_network, draw_shape, finer, written
from rounded_arithmetic import Machine, Rounded, draw_machine
from tally import Tally

PLAIN = Machine("binary64")


def build(drawing: Drawing) -> Any:
    """The verifier's network of a drawing; raises :class:`adapter.Refused`."""
    return adapter.build(*written(drawing, adapter.HEADER))


def describe(drawing: Drawing) -> str:
    """The drawing in a few words, for reports."""

    def words(node: Node) -> str:
        inside = "; ".join(", ".join(map(words, branch)) for branch in node.branches)
        shown = {key: value for key, value in node.fields.items() if key != "layers"}
        return f"{node.op}{list(node.shape)}{shown or ''}" + (f"({inside})" if inside else "")

    return f"{drawing.character}: " + " -> ".join(map(words, drawing.chain))


def exactly(chain: list[Node], points: np.ndarray) -> np.ndarray:
    """The chain at ``points [N, n]`` in balls; call it under :func:`precisely`."""
    return evaluate(chain, EXACT, EXACT.take(points))


def on(machine: Machine, chain: list[Node], points: np.ndarray) -> np.ndarray:
    """The chain on a machine, in binary64 ``[N, m]``."""
    arithmetic = Rounded(machine)
    with np.errstate(all="ignore"):
        made = evaluate(chain, arithmetic, arithmetic.take(points))
    return np.asarray(made, dtype=np.float64)


def try_errors(
    rng: np.random.Generator, tally: Tally, op: str = "", points: int = 12, machines: int = 10
) -> None:
    """Logits in every arithmetic: within the error that the verifier states."""
    drawing = draw_network(rng, op)
    names = drawing.operations()
    x = draw_inputs(rng, drawing, points)
    try:
        network = build(drawing)
    except adapter.Refused:
        tally.refuse(names)
        return
    check_errors(rng, tally, drawing, network, x, machines)


def check_errors(
    rng: np.random.Generator,
    tally: Tally,
    drawing: Drawing,
    network: Any,
    x: np.ndarray,
    machines: int = 10,
) -> None:
    """The trial of one network at ``x [N, n]``."""
    norm = str(rng.choice(adapter.NORMS))
    narrow, fine = x, finer(rng, x) if rng.random() < 0.5 else x
    _against_exact(tally, drawing, network, fine, norm)
    for arithmetic, count in (("binary64", max(1, machines // 3)), ("binary32", machines)):
        x = fine if arithmetic == "binary64" else narrow
        try:
            logits, allowed = adapter.errors(network, x, norm, arithmetic)
        except adapter.Refused:
            tally.refuse(drawing.operations())
            continue
        for _ in range(count):
            machine = draw_machine(rng, arithmetic)
            found = on(machine, drawing.chain, x)
            with np.errstate(all="ignore"):
                apart = np.abs(found - logits)
            words = f"{machine}, {norm}, {describe(drawing)}"
            _compare(tally, drawing, apart, allowed, words)


def _against_exact(tally: Tally, drawing: Drawing, network: Any, x: np.ndarray, norm: str) -> None:
    """Binary64 logits against the real ones."""
    logits, allowed = adapter.errors(network, x, norm, "real")
    with precisely():
        exact = exactly(drawing.chain, x)
        apart = np.full(logits.shape, np.nan)
        for place in np.ndindex(*logits.shape):
            if math.isfinite(logits[place]):
                # The lower end: a ball too wide to tell is no violation.
                apart[place] = float(abs(exact[place] - arb(logits[place])).lower())
    _compare(tally, drawing, apart, allowed, f"real, {norm}, {describe(drawing)}")


def _compare(
    tally: Tally, drawing: Drawing, apart: np.ndarray, allowed: np.ndarray, words: str
) -> None:
    claimed = np.isfinite(allowed)
    tally.unbounded += int((~claimed).sum()) * apart.shape[1]
    if not claimed.any():
        return
    apart, allowed = apart[claimed], allowed[claimed][:, None]
    # Differences of binary64 numbers are rounded once.
    bad = ~(apart * (1 - 2.0**-52) <= allowed)
    with np.errstate(all="ignore"):
        ratio = np.where(apart == 0, 0.0, apart / allowed)
    largest = float(np.nan_to_num(ratio, nan=np.inf).max())
    tally.count(drawing.operations(), apart.size, largest)
    if bad.any():
        tally.violate(f"error {largest:.6g} of its bound: {words}")


def norm_of(vector: np.ndarray, norm: str) -> Any:
    """The norm of a vector of balls."""
    sizes = [abs(value) for value in vector]
    if norm == "l1":
        return sum(sizes, arb(0))
    if norm == "l2":
        return sum((value * value for value in sizes), arb(0)).nonnegative_part().sqrt()
    largest = arb(0)
    for value in sizes:
        largest = largest.max(value)
    return largest


def jacobian(chain: list[Node], point: np.ndarray, step: float) -> np.ndarray:
    """About the Jacobian ``[m, n]`` at ``point [n]``; only a hint where to look."""
    moved = point + step * np.eye(len(point))
    values = on(PLAIN, chain, np.concatenate([point[None], moved]))
    with np.errstate(all="ignore"):
        return np.nan_to_num((values[1:] - values[0]).T / step, nan=0.0, posinf=0.0, neginf=0.0)


def steepest(slopes: np.ndarray, norm: str) -> np.ndarray:
    """The direction, of length about 1 in ``norm``, in which ``slopes [m, n]`` stretches most."""
    if norm == "linf":
        row = slopes[np.abs(slopes).sum(axis=1).argmax()]
        return np.where(row < 0, -1.0, 1.0)
    if norm == "l1":
        return np.eye(slopes.shape[1])[np.abs(slopes).sum(axis=0).argmax()]
    largest = np.abs(slopes).max()
    if largest == 0:
        return np.eye(slopes.shape[1])[0]
    return np.linalg.svd(slopes / largest)[2][0]


def try_norms(rng: np.random.Generator, tally: Tally, op: str) -> None:
    """One operation: no pair of points is moved apart by more than its constant."""
    pen = Pen(rng, str(rng.choice(CHARACTERS)), widest=int(rng.choice([6, 12, 30])))
    shape = draw_shape(pen, op)
    node = draw_operation(pen, shape, 0, op)
    chain = [node]
    if len(node.out_shape) != 1:
        chain.append(Node("flatten", node.out_shape, (node.width,)))
    drawing = Drawing(shape, chain, pen.character)
    try:
        network = build(drawing)
    except adapter.Refused:
        tally.refuse([op])
        return
    around = 1.0
    if node.op in ("distance", "extension") and node.weight is not None:
        around = max(float(np.abs(node.weight).max()), 1e-30)
    if op == "dense":
        try_mixed_norms(rng, tally)
    for norm in adapter.NORMS:
        bound = adapter.bounds(network, norm)[0]
        reached = _stretch(rng, drawing, norm, around)
        ratio = 0.0 if reached == 0 else math.inf if bound == 0 else float(reached / arb(bound))
        tally.count([op], 1, ratio)
        if not reached <= arb(bound):
            tally.violate(f"{norm} constant {ratio:.12g} of its bound: {describe(drawing)}")


def try_mixed_norms(rng: np.random.Generator, tally: Tally) -> None:
    """One matrix: no vector becomes longer, from one norm to another, than its constant says."""
    pen = Pen(rng, str(rng.choice(CHARACTERS)), widest=int(rng.choice([3, 6, 12])))
    node = draw_operation(pen, (pen.size(),), 0, "dense")
    assert node.weight is not None
    node.bias = None
    network = build(Drawing(node.shape, [node], pen.character))
    weight = node.weight.astype(np.float64)
    size = weight.shape[1]
    steps = [*np.eye(size), *rng.choice([-1.0, 1.0], (20, size)), *rng.standard_normal((5, size))]
    steps += [*np.sign(weight), *weight, *np.sign(np.linalg.svd(weight)[2])]
    order = {"l2": 2, "linf": np.inf, "l1": 1}
    for before in adapter.NORMS:
        for after in adapter.NORMS:
            if before == after:
                continue
            bound = adapter.crossed(network, before, after)
            sizes = [
                np.linalg.norm(weight @ step, order[after]) / np.linalg.norm(step, order[before])
                if step.any()
                else 0.0
                for step in steps
            ]
            best = steps[int(np.argmax(sizes))]
            with precisely():
                made = exactly([node], best[None])[0]
                reached = (norm_of(made, after) / norm_of(EXACT.take(best), before)).lower()
            ratio = 0.0 if reached == 0 else float(reached / arb(bound))
            tally.count([f"dense, {before} to {after}"], 1, ratio)
            if not reached <= arb(bound):
                tally.violate(f"{before} to {after} {ratio:.12g} of its bound: {node.weight!r}")


def _stretch(rng: np.random.Generator, drawing: Drawing, norm: str, around: float) -> Any:
    """A number that the chain's constant certainly reaches (the lower end of a ball)."""
    size = math.prod(drawing.input_shape)
    best, pair = -1.0, (np.zeros(size), np.ones(size))
    for trial in range(3):
        point = rng.standard_normal(size) * around
        if trial == 2:
            point = np.full(size, float(rng.standard_normal()) * around)
        step = around * 2.0**-10
        slopes = jacobian(drawing.chain, point, step)
        other = point + step * steepest(slopes, norm)
        values = on(PLAIN, drawing.chain, np.stack([point, other]))
        with np.errstate(all="ignore"):
            order = {"l2": 2, "linf": np.inf, "l1": 1}[norm]
            far = np.linalg.norm(values[1] - values[0], order)
            grown = float(far / np.linalg.norm(other - point, order))
        if math.isfinite(grown) and grown > best:
            best, pair = grown, (point, other)
    with precisely():
        made = exactly(drawing.chain, np.stack(pair))
        apart = norm_of(EXACT.take(pair[1]) - EXACT.take(pair[0]), norm)
        return (norm_of(made[1] - made[0], norm) / apart).lower()
