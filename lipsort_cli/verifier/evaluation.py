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

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lipsort_cli.verifier.bounds import LayerBound
from lipsort_cli.verifier.errors import Unsupported
from lipsort_cli.verifier.layer import CONTAINERS, CONVOLUTIONS, SMOOTH, Layer, normalization
from lipsort_cli.verifier.operands import Operands
from lipsort_cli.verifier.pooling import average_pool, distance, extension, l2_pool
from lipsort_cli.verifier.rounding import (
    BINARY64,
    Arithmetic,
    Floats,
    add_up,
    gamma,
    inflate,
    mul_up,
    norm_up,
    ones_norm,
)
from lipsort_cli.verifier.selections import select
from lipsort_cli.verifier.state import State, rounded, square_root, squares_fit

CHUNK = 1024
STATE = 1 << 22
"""Components of a layer's outputs over all points of a chunk, about (32 MiB)."""
SMOOTH_ULPS = 16
"""Assumed accuracy of NumPy's binary64 tanh and exp, in units of the last place."""


def chunks(layers: tuple[Layer, ...], count: int) -> Iterator[slice]:
    """Slices that cover ``range(count)``; the split changes memory, and results by rounding."""
    widest = max((inner.width for layer in layers for inner in layer.walk()), default=1)
    size = min(CHUNK, max(16, STATE // widest))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


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
        _chain(state, layers, bounds, norm, arithmetic)
    return state


def _chain(
    state: State,
    layers: tuple[Layer, ...],
    bounds: Sequence[LayerBound],
    norm: str,
    arithmetic: Arithmetic,
) -> None:
    for layer, bound in zip(layers, bounds, strict=True):
        if layer.op in CONTAINERS:
            _container(state, layer, bound, norm, arithmetic)
        else:
            _step(state, layer, bound.value, norm, arithmetic)


def _step(state: State, layer: Layer, lipschitz: float, norm: str, arithmetic: Arithmetic) -> None:
    if layer.op in ("flatten", "identity"):
        return
    values, ones = state.values, ones_norm(layer.width, norm)
    if layer.op == "dense" or layer.op in CONVOLUTIONS:
        operands = Operands.of(layer, arithmetic)
        state.values = operands.apply(values)
        sizes = norm_up(operands.magnitude(values, state.values), norm)
        spread = operands.spread(operands.absolute_norm(norm), lipschitz)
        small = operands.flushed * ones
        rounded(state, lipschitz, spread, sizes, operands.count, small, arithmetic)
    elif layer.op == "normalize":
        mean, std = normalization(layer)
        sizes = np.asarray(inflate(norm_up((np.abs(values) + np.abs(mean)) / std, norm), 4))
        state.values = (values - mean) / std
        small = 8 * (1 + 2 / float(std.min())) * ones
        # Six roundings cover (x - m) / s, (x - m) * (1/s) and x/s - m/s, constants rounded too.
        largest = max(1.0, float(std.max()))
        rounded(state, lipschitz, lipschitz, sizes, 6, small, arithmetic, largest)
    elif layer.op in ("scale", "leaky_relu"):
        sizes = np.asarray(mul_up(norm_up(values, norm), lipschitz))
        scaled = layer.numbers[0] * values
        state.values = scaled if layer.op == "scale" else np.where(values > 0, values, scaled)
        small = 8 * (1 + lipschitz) * ones
        rounded(state, lipschitz, lipschitz, sizes, 4, small, arithmetic)
    elif layer.op == "average_pool":
        found = average_pool(layer, values)
        state.values, area = found.values, layer.size * layer.size
        sizes = norm_up(found.sizes, norm)
        rounded(
            state, lipschitz, lipschitz, sizes, found.roundings, 8 * area * ones, arithmetic, area
        )
    elif layer.op == "l2_pool":
        _l2_pool(state, layer, lipschitz, norm, arithmetic)
    elif layer.op in ("distance", "extension"):
        if layer.op == "distance":
            found = distance(layer, values, arithmetic)
        else:
            found = extension(layer, values)
        state.values, sizes = found.values, norm_up(found.sizes, norm)
        # Weights of ranks are raised a little where they may be flushed, hence the room.
        spread = float(add_up(mul_up(lipschitz, 1 + 2.0**-20), 2.0**-50 * layer.width))
        small = 8 * found.roundings * ones
        if layer.op == "extension":
            square_root(state, layer.inputs, ones, arithmetic)
        rounded(state, lipschitz, spread, sizes, found.roundings, small, arithmetic)
        if layer.op == "extension":
            squares_fit(state, math.sqrt(layer.inputs), arithmetic)
    elif layer.op in SMOOTH:
        _smooth(state, layer, lipschitz, norm, arithmetic)
    else:
        state.values = select(layer, values)
        # Exact, but an arithmetic that treats subnormals as zero may confuse them.
        ones = ones_norm(layer.inputs, norm)
        state.d64 = np.asarray(mul_up(lipschitz, add_up(state.d64, 4 * BINARY64.tiny * ones)))
        state.d0 = np.asarray(mul_up(lipschitz, add_up(state.d0, 4 * arithmetic.tiny * ones)))
        state.d1 = np.asarray(mul_up(lipschitz, state.d1))
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


def _l2_pool(
    state: State, layer: Layer, lipschitz: float, norm: str, arithmetic: Arithmetic
) -> None:
    found = l2_pool(layer, state.values)
    state.values = found.values
    ones = ones_norm(layer.width, norm)
    sizes, small = norm_up(found.sizes, norm), 8 * found.roundings * ones
    rounded(state, lipschitz, lipschitz, sizes, found.roundings, small, arithmetic)
    square_root(state, layer.size * layer.size, ones, arithmetic)
    squares_fit(state, layer.size, arithmetic)


def _container(
    state: State, layer: Layer, bound: LayerBound, norm: str, arithmetic: Arithmetic
) -> None:
    """Carry every branch on its own, then join values and errors."""
    branches = []
    for part, inner in zip(layer.parts, bound.parts, strict=True):
        branch = replace(state)
        _chain(branch, part, inner, norm, arithmetic)
        branches.append(branch)
    if layer.op == "residual":
        _sum(state, branches[0], layer, norm, arithmetic)
    else:
        state.values = np.concatenate([branch.values for branch in branches], axis=1)
        for name in ("d64", "d0", "d1"):
            errors = np.stack([getattr(branch, name) for branch in branches], axis=1)
            setattr(state, name, norm_up(errors, norm))
    state.lip = float(mul_up(state.lip, bound.value))


def _sum(state: State, branch: State, layer: Layer, norm: str, arithmetic: Arithmetic) -> None:
    """``skip * x + branch * f``: four roundings, constants rounded too."""
    skip, share = layer.numbers
    first, second = abs(skip), abs(share)

    def mixed(left: Floats | float, right: Floats | float) -> Floats:
        return np.asarray(add_up(mul_up(first, left), mul_up(second, right)))

    sizes = mixed(norm_up(state.values, norm), norm_up(branch.values, norm))
    drift = mixed(add_up(state.d64, state.d0), add_up(branch.d64, branch.d0))
    base = np.asarray(add_up(sizes, drift))
    slope = mixed(add_up(state.lip, state.d1), add_up(branch.lip, branch.d1))
    state.magnitudes.append((np.asarray(mul_up(2, base)), np.asarray(mul_up(2, slope))))
    small = 16 * (1 + first + second) * ones_norm(layer.width, norm)
    error = gamma(4, arithmetic.unit)
    state.values = skip * state.values + share * branch.values
    state.d0 = np.asarray(
        add_up(mixed(state.d0, branch.d0), mul_up(error, base), 2 * arithmetic.tiny * small)
    )
    state.d1 = np.asarray(add_up(mixed(state.d1, branch.d1), mul_up(error, slope)))
    state.d64 = np.asarray(
        add_up(
            mixed(state.d64, branch.d64),
            mul_up(gamma(4, BINARY64.unit), sizes),
            2 * BINARY64.tiny * small,
        )
    )
