"""What is known about the activations of a batch, and how one operation changes it: T4.

For a point ``x`` let ``a`` be the activations in real arithmetic, ``a~`` those computed here,
``a^(x')`` those of the arithmetic claimed at an input ``x'`` with ``||x' - x|| <= r``. Carried from
layer to layer: ``own >= ||a~ - a(x)||`` (binary64: d64 in docs/trust.md), ``d0 + d1 r >= ||a^(x') -
a(x')||`` in any summation order, and ``||a(x') - a(x)|| <= lip r``. An operation that rounds is
described by its constant ``L``, ``s``, ``B`` and a count of roundings: a component errs by at most
``gamma(count) s``, and ``||s||`` changes by at most ``B`` times a change of its input, so

    own' = L own + gamma64 ||s(a~)|| + underflow
    d0'  = L d0  + gamma (||s(a~)|| + B (own + d0)) + underflow
    d1'  = L d1  + gamma B (lip + d1)

:meth:`State.rounded` is this, for both machines; nothing else changes errors of an operation that
rounds, but ``operations/scale.doubt`` for constants and ``operations/l2_pool.squared`` for squares.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .operation import Layer
from .rounding import Arithmetic


@dataclass
class State:
    """Activations ``[N, n]`` of a batch, and what is known about their errors (each ``[N]``)."""

    m: Any
    norm: str
    arithmetic: Arithmetic
    values: Any
    own: Any
    d0: Any
    d1: Any
    lip: Any
    magnitudes: list[tuple[Any, Any]] = field(default_factory=list)

    @classmethod
    def at(cls, m: Any, inputs: NDArray[np.floating[Any]], norm: str, kind: Arithmetic) -> Self:
        """Exact inputs ``[N, n]``."""
        zero = m.uppers(m.array(np.zeros(len(inputs))))
        return cls(m, norm, kind, m.array(inputs), zero, zero, zero, m.upper(1.0))

    def size(self) -> Any:
        """Norms of the activations."""
        return self.m.norm(self.values, self.norm)

    def rounded(
        self,
        layer: Layer,
        lipschitz: float,
        sizes: Any,
        count: int,
        small: Any,
        *,
        spread: Any = None,
        reach: float = 1.0,
        doubt: tuple[Any, Any] | None = None,
    ) -> None:
        """One step of the recurrence, after ``values`` were replaced by those of ``layer``.

        ``lipschitz`` is ``L``, ``sizes`` ``||s(a~)|| [N]``, ``count`` the roundings relative to
        ``s``, ``small`` what a component can lose to underflow, in units of ``2 tiny``, ``spread``
        ``B`` (without it ``L``). Intermediate results are up to ``reach`` times larger than ``s``.
        """
        m, kind, constant = self.m, self.arithmetic, self.m.upper(lipschitz)
        spread = constant if spread is None else spread
        ones = m.ones(layer.width, self.norm)
        small = ones * small
        base = sizes + spread * (self.own + self.d0)
        slope = spread * (self.lip + self.d1)
        self.magnitudes.append((base * (2 * reach), slope * (2 * reach)))
        error = m.gamma(count, kind)
        if error is not None:
            lost, rate = error * base + small * (2 * kind.tiny), error * slope
            if doubt is not None:
                lost, rate = lost + doubt[0], rate + doubt[1]
            self.d0, self.d1 = constant * self.d0 + lost, constant * self.d1 + rate
        self.values, unit = m.settle(self.values)
        self.own = constant * self.own + m.lost(count, sizes, small)
        if m.exactly:
            self.own = self.own + ones * unit
        self.lip = self.lip * constant

    def selected(self, layer: Layer, lipschitz: float) -> None:
        """A step that rounds nothing; but where subnormals count as zero they may be confused."""
        m, constant = self.m, self.m.upper(lipschitz)
        ones = m.ones(layer.inputs, self.norm)
        self.own = constant * (self.own + ones * (4 * m.tiny))
        self.d0 = constant * (self.d0 + ones * (4 * self.arithmetic.tiny))
        self.d1 = constant * self.d1
        self.lip = self.lip * constant

    def fits(self, radius: Any) -> NDArray[np.bool_]:
        """Whether nothing can overflow within ``radius [N]`` of each point; NaN does not fit."""
        m = self.m
        fits = np.ones(len(self.values), dtype=bool)
        for base, slope in self.magnitudes:
            reached = base + slope * radius <= m.upper(self.arithmetic.largest)
            fits &= np.asarray(reached, dtype=bool)
            fits &= np.asarray(base <= m.upper(m.largest), dtype=bool)
        return fits
