"""Evaluating a network in binary64, with a proven bound of rounding errors at and near a point.

For a point ``x`` let ``a`` be the activations in real arithmetic, ``a~`` those computed here in
binary64, ``a^(x')`` those of another arithmetic at a nearby input ``x'``, ``||x' - x|| <= r``.
Carried from layer to layer, for each point:

    d64      >= ||a~ - a(x)||            what binary64 lost here
    d0 + d1 r >= ||a^(x') - a(x')||      what the other arithmetic loses, in any summation order
    lip       : ||a(x') - a(x)|| <= lip * r

A dense layer of ``n`` inputs adds up ``n + 1`` terms with ``n`` additions. Each addition errs by at
most ``u`` times its result, and every partial sum, in whatever order, lies between the sum of the
negative and the sum of the positive terms: within ``(S + |z|) / 2 + gamma S`` of zero, where
``z = w a + b`` and ``S = |w||a| + |b|``. With the products' own roundings, a component errs by at
most ``gamma(n + 2) s``, ``s = (S + |z|) / 2 + S (1 + (n + 2) gamma) / (n + 2)``. In norm, with
``A >= || |W| ||``, ``L >= ||W||`` and ``B = (A + L) / 2 + A (1 + (n + 2) gamma) / (n + 2)``,

    d0' = L d0 + gamma (||s(a~)|| + B (d64 + d0)) + underflow
    d1' = L d1 + gamma B (lip + d1)

Every other operation that rounds is brought to this form with its own ``s``, ``B`` and count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.bounds import LayerBound
from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.graph import SMOOTH, Layer, normalization
from lipsort_cli.verifier.rounding import (
    BINARY64,
    Arithmetic,
    Bound,
    Floats,
    add_up,
    gamma,
    inflate,
    mul_up,
    norm_up,
    ones_norm,
    up,
)

CHUNK = 1024
SMOOTH_ULPS = 16
"""Assumed accuracy of NumPy's binary64 tanh and exp, in units of the last place."""


@dataclass
class State:
    """Activations ``[N, n]`` of a batch, and what is known about their errors (each ``[N]``)."""

    values: Floats
    d64: Floats
    d0: Floats
    d1: Floats
    lip: float = 1.0
    magnitudes: list[tuple[Floats, Floats]] = field(default_factory=list)

    @classmethod
    def at(cls, inputs: Floats) -> State:
        """Exact inputs ``[N, n]``."""
        zero = np.zeros(len(inputs))
        return cls(inputs, zero, zero.copy(), zero.copy())

    def fits(self, radius: Floats, arithmetic: Arithmetic) -> NDArray[np.bool_]:
        """Whether nothing can overflow within ``radius [N]`` of each point."""
        fits = np.ones(len(radius), dtype=bool)
        for base, slope in self.magnitudes:
            fits &= add_up(base, mul_up(slope, radius)) <= arithmetic.largest
            fits &= base <= BINARY64.largest
        return fits


def chunks(count: int) -> Iterator[slice]:
    """Slices that cover ``range(count)``; the split changes no result, only memory."""
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


def propagate(
    layers: tuple[Layer, ...],
    bounds: list[LayerBound],
    inputs: Floats,
    norm: str,
    arithmetic: Arithmetic,
) -> State:
    """Carry inputs ``[N, n]`` (binary64) through ``layers``, whose constants are ``bounds``."""
    state = State.at(inputs)
    with np.errstate(all="ignore"):
        for layer, bound in zip(layers, bounds, strict=True):
            _step(state, layer, bound.value, norm, arithmetic)
    return state


def _step(state: State, layer: Layer, lipschitz: float, norm: str, arithmetic: Arithmetic) -> None:
    if layer.op in ("flatten", "identity"):
        return
    values = state.values
    if layer.op == "dense":
        operands = Operands.of(layer, arithmetic)
        state.values = operands.apply(values)
        sizes = norm_up(operands.magnitude(values, state.values), norm)
        spread = operands.spread(absolute_norm(operands.absolute, norm), lipschitz)
        small = operands.flushed * ones_norm(layer.width, norm)
        _rounded(state, lipschitz, spread, sizes, operands.count, small, arithmetic)
    elif layer.op == "normalize":
        mean, std = normalization(layer)
        sizes = np.asarray(inflate(norm_up((np.abs(values) + np.abs(mean)) / std, norm), 4))
        state.values = (values - mean) / std
        small = 8 * (1 + 2 / float(std.min())) * ones_norm(layer.width, norm)
        # Six roundings cover (x - m) / s, (x - m) * (1/s) and x/s - m/s, constants rounded too.
        largest = max(1.0, float(std.max()))
        _rounded(state, lipschitz, lipschitz, sizes, 6, small, arithmetic, largest)
    elif layer.op in ("scale", "leaky_relu"):
        sizes = np.asarray(mul_up(norm_up(values, norm), lipschitz))
        scaled = layer.numbers[0] * values
        state.values = scaled if layer.op == "scale" else np.where(values > 0, values, scaled)
        small = 8 * (1 + lipschitz) * ones_norm(layer.width, norm)
        _rounded(state, lipschitz, lipschitz, sizes, 4, small, arithmetic)
    elif layer.op in SMOOTH:
        _smooth(state, layer, lipschitz, norm, arithmetic)
    else:
        state.values = exact_activation(layer, values)
        # Exact, but an arithmetic that treats subnormals as zero may confuse them.
        ones = ones_norm(layer.inputs, norm)
        state.d64 = np.asarray(add_up(state.d64, 4 * BINARY64.tiny * ones))
        state.d0 = np.asarray(add_up(state.d0, 4 * arithmetic.tiny * ones))


@dataclass(frozen=True)
class Operands:
    """A dense layer in binary64: ``weight``, ``absolute`` ``[m, n]`` and ``bias`` ``[m]``.

    ``absolute`` stands for ``|W|`` in error bounds. A subnormal weight may be taken as zero by an
    arithmetic that flushes; its entry is raised so that half of ``gamma * absolute`` covers that.
    What flushed products, sums and activations lose is at most ``flushed * tiny`` a component.
    """

    weight: Floats
    absolute: Floats
    bias: Floats
    count: int
    flushed: float
    share: float

    @classmethod
    def of(cls, layer: Layer, arithmetic: Arithmetic) -> Operands:
        """The operands of a dense layer, prepared for error bounds in ``arithmetic``."""
        assert layer.weight is not None
        weight = layer.weight.astype(np.float64)
        absolute = np.abs(weight)
        count = layer.inputs + 2
        error = gamma(count, arithmetic.unit)
        subnormal = (absolute > 0) & (absolute < arithmetic.tiny)
        if subnormal.any():
            absolute[subnormal] *= 4 + 2 / error
        bias = np.zeros(layer.width) if layer.bias is None else layer.bias.astype(np.float64)
        rows = float(np.max(inflate(absolute.sum(axis=1), layer.inputs)))
        # S enters with this share besides its half; see the head of this module.
        worst = max(error, gamma(count, BINARY64.unit))
        share = float(up(up(1 + count * worst) / count))
        return cls(weight, absolute, bias, count, 8 * count + 4 * rows, share)

    def apply(self, values: Floats) -> Floats:
        """``W a + b`` for ``[N, n]``, rounded to nearest."""
        return np.asarray(values @ self.weight.T + self.bias)

    def magnitude(self, values: Floats, results: Floats) -> Floats:
        """Upper bound of ``s`` ``[N, m]`` at ``a = values [N, n]``, with ``results`` = W a + b."""
        sums = np.abs(values) @ self.absolute.T + np.abs(self.bias)
        return np.asarray(inflate(0.5 * (sums + np.abs(results)) + self.share * sums, self.count))

    def spread(self, absolute: Bound, signed: Bound) -> Bound:
        """``B`` from ``A`` and ``L``; element by element for the rows of a head."""
        return add_up(0.5 * add_up(absolute, signed), mul_up(self.share, absolute))


def exact_activation(layer: Layer, values: NDArray[Any]) -> NDArray[Any]:
    """Activations that only select or change signs: exact in any arithmetic; ``[N, n]``."""
    if layer.op in ("groupsort", "maxout"):
        groups = values.reshape(len(values), -1, layer.size)
        if layer.op == "maxout":
            return np.ascontiguousarray(groups.max(axis=2))
        if layer.size == 2:
            pair = np.empty_like(groups)
            np.minimum(groups[..., 0], groups[..., 1], out=pair[..., 0])
            np.maximum(groups[..., 0], groups[..., 1], out=pair[..., 1])
            return pair.reshape(values.shape)
        return np.sort(groups, axis=2).reshape(values.shape)
    if layer.op == "relu":
        return np.maximum(values, 0)
    if layer.op == "abs":
        return np.abs(values)
    raise Unsupported(f"network.graph.layers[{layer.index}].op", f"no rule for {layer.op!r}")


def absolute_norm(absolute: Floats, norm: str) -> float:
    """Upper bound of the operator norm of a non-negative matrix ``[m, n]``."""
    rows = float(np.max(inflate(absolute.sum(axis=1), absolute.shape[1])))
    columns = float(np.max(inflate(absolute.sum(axis=0), absolute.shape[0])))
    if norm == "linf":
        return rows
    if norm == "l1":
        return columns
    mixed = float(up(np.sqrt(mul_up(rows, columns))))
    return min(mixed, float(norm_up(absolute.reshape(-1), "l2")))


def _rounded(
    state: State,
    lipschitz: float,
    spread: float,
    sizes: Floats,
    count: int,
    small: float,
    arithmetic: Arithmetic,
    largest: float = 1.0,
) -> None:
    """One step of the recurrence: ``sizes`` bounds ``||s(a~)||``, ``spread`` is ``B``."""
    error = gamma(count, arithmetic.unit)
    drift = add_up(state.d64, state.d0)
    base = add_up(sizes, mul_up(spread, drift))
    slope = np.asarray(mul_up(spread, add_up(state.lip, state.d1)))
    state.magnitudes.append(
        (np.asarray(mul_up(2 * largest, base)), np.asarray(mul_up(2 * largest, slope)))
    )
    if error > 0.5:
        error = np.inf
    if error > 0:
        state.d0 = np.asarray(
            add_up(mul_up(lipschitz, state.d0), mul_up(error, base), 2 * arithmetic.tiny * small)
        )
        state.d1 = np.asarray(add_up(mul_up(lipschitz, state.d1), mul_up(error, slope)))
    state.d64 = np.asarray(
        add_up(
            mul_up(lipschitz, state.d64),
            mul_up(gamma(count, BINARY64.unit), sizes),
            2 * BINARY64.tiny * small,
        )
    )
    state.lip = float(mul_up(state.lip, lipschitz))


def _smooth(
    state: State, layer: Layer, lipschitz: float, norm: str, arithmetic: Arithmetic
) -> None:
    if arithmetic.unit > 0:
        raise Unsupported(
            f"network.graph.layers[{layer.index}].op",
            f"{layer.op} has no bound in {arithmetic.name}: libraries differ; use 'real'",
        )
    values = state.values
    if layer.op == "tanh":
        state.values = np.tanh(values)
    else:
        state.values = 1 / (1 + np.exp(-values))
    lost = (2 * SMOOTH_ULPS + 8) * 2 * BINARY64.unit * ones_norm(layer.width, norm)
    state.d64 = np.asarray(add_up(mul_up(lipschitz, state.d64), lost))
    state.lip = float(mul_up(state.lip, lipschitz))
