"""Layers that add up products, in binary64, with what error bounds need to know about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lipsort_cli.verifier.convolution import absolute_sums, convolve, terms_summed
from lipsort_cli.verifier.layer import CONVOLUTIONS, Layer
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
    up,
)


@dataclass(frozen=True)
class Operands:
    """A dense layer or a convolution in binary64: ``weight``, ``absolute`` and ``bias [width]``.

    ``absolute`` stands for ``|W|`` in error bounds. A subnormal weight may be taken as zero by an
    arithmetic that flushes; its entry is raised so that half of ``gamma * absolute`` covers that.
    What flushed products, sums and activations lose is at most ``flushed * tiny`` a component.
    ``rows`` and ``columns`` bound the absolute row and column sums of the operator.
    """

    layer: Layer
    weight: Floats
    absolute: Floats
    bias: Floats
    rows: float
    columns: float
    count: int
    flushed: float
    share: float

    @classmethod
    def of(cls, layer: Layer, arithmetic: Arithmetic) -> Operands:
        """The operands of a layer, prepared for error bounds in ``arithmetic``."""
        assert layer.weight is not None
        weight = layer.weight.astype(np.float64)
        absolute = np.abs(weight)
        convolution = layer.op in CONVOLUTIONS
        count = (terms_summed(layer) if convolution else layer.inputs) + 2
        error = gamma(count, arithmetic.unit)
        subnormal = (absolute > 0) & (absolute < arithmetic.tiny)
        if subnormal.any():
            absolute[subnormal] *= 4 + 2 / error
        bias = np.zeros(layer.width)
        if layer.bias is not None:
            bias = np.repeat(layer.bias.astype(np.float64), math.prod(layer.out_shape[1:]))
        if convolution:
            rows, columns = absolute_sums(layer, absolute)
        else:
            rows = float(np.max(inflate(absolute.sum(axis=1), absolute.shape[1])))
            columns = float(np.max(inflate(absolute.sum(axis=0), absolute.shape[0])))
        # S enters with this share besides its half; see the head of evaluation.py.
        worst = max(error, gamma(count, BINARY64.unit))
        share = float(up(up(1 + count * worst) / count))
        flushed = 8 * count + 4 * rows
        return cls(layer, weight, absolute, bias, rows, columns, count, flushed, share)

    def apply(self, values: Floats) -> Floats:
        """``W a + b`` for ``[N, n]``, rounded to nearest."""
        return np.asarray(self._product(values, self.weight) + self.bias)

    def magnitude(self, values: Floats, results: Floats) -> Floats:
        """Upper bound of ``s`` ``[N, m]`` at ``a = values [N, n]``, with ``results`` = W a + b."""
        sums = self._product(np.abs(values), self.absolute) + np.abs(self.bias)
        return np.asarray(inflate(0.5 * (sums + np.abs(results)) + self.share * sums, self.count))

    def spread(self, absolute: Bound, signed: Bound) -> Bound:
        """``B`` from ``A`` and ``L``; element by element for the rows of a head."""
        return add_up(0.5 * add_up(absolute, signed), mul_up(self.share, absolute))

    def absolute_norm(self, norm: str) -> float:
        """``A``: an upper bound of the norm of the operator with ``absolute`` for its weight."""
        if norm == "linf":
            return self.rows
        if norm == "l1":
            return self.columns
        mixed = float(up(np.sqrt(mul_up(self.rows, self.columns))))
        if self.layer.op in CONVOLUTIONS:
            return mixed
        return min(mixed, float(norm_up(self.absolute.reshape(-1), "l2")))

    def _product(self, values: Floats, weight: Floats) -> Floats:
        if self.layer.op in CONVOLUTIONS:
            return convolve(self.layer, values, weight)
        return np.asarray(values @ weight.T)
