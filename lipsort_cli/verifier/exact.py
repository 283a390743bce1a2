"""``--exact``: every inequality of a certificate judged in integers, free of rounding.

Activations are integers times ``2**-FINE``; the floor after each layer costs at most one unit a
component, carried along as ``err``. Bounds are fixed-point numbers rounded up. The recurrences are
those of :mod:`lipsort_cli.verifier.evaluation`; no floating-point rounding enters a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from lipsort_cli.verifier.bounds import LayerBound
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.exact_layers import require_exact
from lipsort_cli.verifier.graph import Layer, Network, normalization
from lipsort_cli.verifier.integers import (
    FINE,
    SCALE,
    Integers,
    dyadic,
    fixed,
    matrix,
    norm,
    rescale,
    rescale_up,
    root_up,
    times,
    unpack,
)
from lipsort_cli.verifier.rounding import Arithmetic
from lipsort_cli.verifier.selections import select

ONE = 1 << SCALE
CHUNK = 500


@dataclass
class Walk:
    """Activations of a chunk and their bounds, as in ``evaluation.State`` but in integers."""

    values: Integers
    err: Any
    d0: Any
    d1: Any = 0
    lip: int = ONE
    magnitudes: list[tuple[Any, Any]] = field(default_factory=list)


class Judge:
    """Judges points of one network in one norm and arithmetic."""

    def __init__(
        self, network: Network, bounds: list[LayerBound], kind: str, arithmetic: Arithmetic
    ) -> None:
        """Prepare weights as integers; ``bounds`` are proven claims."""
        for layer in network.layers:
            require_exact(layer)
        self.kind = kind
        self.arithmetic = arithmetic
        self.tiny = fixed(arithmetic.tiny)
        self.bounds = {bound.index: fixed(bound.value) for bound in bounds}
        self.operands = {
            layer.index: Operands(layer, kind, self.gamma(layer.inputs + 2), self.tiny)
            for layer in network.layers
            if layer.op == "dense"
        }

    def gamma(self, count: int) -> int:
        """``n u / (1 - n u)``, rounded up; refused from one half on."""
        if self.arithmetic.unit == 0 or count == 0:
            return 0
        product = count * Fraction(self.arithmetic.unit)
        if product >= Fraction(1, 3):
            raise Invalid("claim.arithmetic", f"sums of {count} terms have no useful error bound")
        error = product / (1 - product)
        return -((-error.numerator << SCALE) // error.denominator)

    def ones(self, count: int) -> int:
        """Norm of ``count`` ones."""
        if self.kind == "linf":
            return ONE
        return count << SCALE if self.kind == "l1" else root_up(count << (2 * SCALE))

    def norms(self, values: Integers, scale: int = FINE) -> Any:
        """Norms of rows as fixed-point numbers, rounded up."""
        return rescale_up(norm(values, self.kind), scale, SCALE)

    def walk(self, layers: tuple[Layer, ...], inputs: np.ndarray) -> Walk:
        """Carry float inputs ``[N, n]`` through ``layers``."""
        exact = dyadic(inputs)
        values = rescale(exact.values, exact.shift, FINE)
        zero = np.zeros(len(inputs), dtype=object)
        lost = 0 if exact.shift <= FINE else self.unit(inputs.shape[1])
        walk = Walk(values, zero + lost, zero, zero)
        for layer in layers:
            self._step(walk, layer)
        return walk

    def unit(self, count: int) -> int:
        """What a floor to the activations' grid loses over ``count`` components, in norm."""
        return rescale_up(self.ones(count), FINE + SCALE, SCALE)

    def _step(self, walk: Walk, layer: Layer) -> None:
        if layer.op in ("flatten", "identity"):
            return
        bound = self.bounds[layer.index]
        if layer.op == "dense":
            operands = self.operands[layer.index]
            before, walk.values = walk.values, operands.apply(walk.values)
            sizes = self.norms(operands.magnitude(before, walk.values))
            small = times(operands.flushed, self.ones(layer.width))
            spread = operands.mix(operands.norm, bound)
            self._rounded(walk, bound, spread, sizes, layer.inputs + 2, small, layer)
        elif layer.op == "normalize":
            mean, std = (dyadic(item) for item in normalization(layer))
            grid = max(FINE, mean.shift)
            moved = rescale(walk.values, FINE, grid)
            means = rescale(mean.values, mean.shift, grid)
            up = FINE + std.shift
            sizes = self.norms(-((-(abs(moved) + abs(means)) << up) // (std.values << grid)))
            walk.values = ((moved - means) << up) // (std.values << grid)
            low = Fraction(int(std.values.min()), 1 << std.shift)
            high = Fraction(int(std.values.max()), 1 << std.shift)
            small = times(fixed(float(8 * (1 + 2 / low)) * 2), self.ones(layer.width))
            largest = max(ONE, -((-high.numerator << SCALE) // high.denominator))
            self._rounded(walk, bound, bound, sizes, 6, small, layer, largest)
        elif layer.op in ("scale", "leaky_relu"):
            sizes = times(self.norms(walk.values), bound)
            number = dyadic(np.array([layer.numbers[0]]))
            scaled = (walk.values * number.values[0]) >> number.shift
            walk.values = (
                scaled if layer.op == "scale" else np.where(walk.values > 0, walk.values, scaled)
            )
            small = times(8 * (ONE + bound), self.ones(layer.width))
            self._rounded(walk, bound, bound, sizes, 4, small, layer)
        else:
            walk.values = select(layer, walk.values)
            walk.d0 = walk.d0 + 4 * times(self.tiny, self.ones(layer.inputs))

    def _rounded(
        self,
        walk: Walk,
        bound: int,
        spread: int,
        sizes: Any,
        count: int,
        small: int,
        layer: Layer,
        largest: int = ONE,
    ) -> None:
        error = self.gamma(count)
        base = sizes + times(spread, walk.err + walk.d0)
        slope = times(spread, walk.lip + walk.d1)
        walk.magnitudes.append((2 * times(largest, base), 2 * times(largest, slope)))
        if error:
            walk.d0 = times(bound, walk.d0) + times(error, base) + 2 * times(self.tiny, small)
            walk.d1 = times(bound, walk.d1) + times(error, slope)
        walk.err = times(bound, walk.err) + self.unit(layer.width)
        walk.lip = times(walk.lip, bound)

    def fits(self, walk: Walk, radius: Any) -> Any:
        """Whether nothing overflows within ``radius`` of each point."""
        if self.arithmetic.unit == 0:
            return np.ones(len(walk.values), dtype=bool)
        limit = fixed(self.arithmetic.largest)
        fits = np.ones(len(walk.values), dtype=bool)
        for base, slope in walk.magnitudes:
            fits &= np.asarray(base + times(slope, radius) <= limit, dtype=bool)
        return fits


class Operands:
    """A dense layer as integers."""

    def __init__(self, layer: Layer, kind: str, error: int, tiny: int) -> None:
        """Exact weights; ``norm`` bounds that of ``|W|`` (with raised subnormal entries)."""
        assert layer.weight is not None
        exact = dyadic(layer.weight)
        self.shift = exact.shift
        self.exact = exact.values
        absolute = abs(exact.values)
        limit = rescale_up(tiny, SCALE, self.shift)
        subnormal = (absolute > 0) & (absolute < limit)
        if error and subnormal.any():
            absolute[subnormal] *= 2 + -(-2 * ONE // error)
        self.absolute = absolute
        self.transposed = matrix(exact.values.T)
        self.transposed_absolute = matrix(absolute.T)
        bias = np.zeros(layer.width) if layer.bias is None else layer.bias
        self.bias = dyadic(bias)
        rows = rescale_up(int(absolute.sum(axis=1).max()), self.shift, SCALE)
        columns = rescale_up(int(absolute.sum(axis=0).max()), self.shift, SCALE)
        self.norm = {"linf": rows, "l1": columns}.get(kind, 0)
        if kind == "l2":
            frobenius = root_up(int((absolute * absolute).sum()))
            self.norm = min(root_up(rows * columns), rescale_up(frobenius, self.shift, SCALE))
        count = layer.inputs + 2
        self.flushed = (8 * count << SCALE) + 4 * rows
        self.share = -(-(ONE + count * error) // count)

    def apply(self, values: Integers) -> Integers:
        """``floor(W a + b)`` on the activations' grid."""
        grid = max(FINE + self.shift, self.bias.shift)
        product = rescale(unpack(matrix(values) * self.transposed), FINE + self.shift, grid)
        shifted = product + rescale(self.bias.values, self.bias.shift, grid)
        return np.asarray(rescale(shifted, grid, FINE), dtype=object)

    def magnitude(self, values: Integers, results: Integers) -> Integers:
        """``s`` of the error recurrence on the activations' grid, rounded up."""
        grid = max(FINE + self.shift, self.bias.shift)
        product = unpack(matrix(abs(values)) * self.transposed_absolute)
        sums = rescale(product, FINE + self.shift, grid)
        sums = sums + rescale(abs(self.bias.values), self.bias.shift, grid)
        sums = rescale_up(sums, grid, FINE)
        half = -(-(sums + abs(results) + 1) >> 1)
        return np.asarray(half - ((-sums * self.share) >> SCALE), dtype=object)

    def mix(self, absolute: Any, signed: Any) -> Any:
        """``B`` of the error recurrence from ``A`` and ``L``."""
        return -(-(absolute + signed) >> 1) + times(self.share, absolute)
