"""What is known about the activations of a batch, and how one operation changes it.

For a point ``x`` let ``a`` be the activations in real arithmetic, ``a~`` those computed here,
``a^(x')`` those of the arithmetic claimed at a nearby input ``x'``, ``||x' - x|| <= r``. Carried
from layer to layer, for each point:

    own      >= ||a~ - a(x)||            what this machine lost (binary64: d64 in docs/trust.md)
    d0 + d1 r >= ||a^(x') - a(x')||      what the other arithmetic loses, in any summation order
    lip       : ||a(x') - a(x)|| <= lip * r

An operation that rounds is described by ``s``, ``B`` and a count of roundings: a component errs by
at most ``gamma(count) s``, and ``||s||`` changes by at most ``B`` times a change of its input. With
``L`` the operation's constant,

    own' = L own + gamma64 ||s(a~)|| + underflow
    d0'  = L d0  + gamma (||s(a~)|| + B (own + d0)) + underflow
    d1'  = L d1  + gamma B (lip + d1)

:meth:`State.rounded` is this recurrence, for both machines; nothing else changes errors of an
operation that rounds. A constant ``c`` of an operation that may be taken as zero, or as any other
subnormal number, adds ``2 |c|`` times the size of the input: its error is as large as itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layer import Layer
from .rounding import BINARY64, Arithmetic


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
    def at(cls, m: Any, inputs: NDArray[np.floating[Any]], norm: str, kind: Arithmetic) -> State:
        """Exact inputs ``[N, n]``."""
        zero = m.uppers(m.array(np.zeros(len(inputs))))
        return cls(m, norm, kind, m.array(inputs), zero, zero, zero, m.upper(1.0))

    def size(self) -> Any:
        """Norms of the activations."""
        return self.m.norm(self.values, self.norm)

    def doubt(self, *constants: float) -> tuple[Any, Any]:
        """What is lost where ``constants`` may be taken as zero or as any subnormal number.

        To be asked before the operation; a term without and one with ``r``.
        """
        worst = max((abs(c) for c in constants if abs(c) < 2 * self.arithmetic.tiny), default=0.0)
        base = (self.size() + self.own + self.d0) * (2 * worst)
        return base, (self.lip + self.d1) * (2 * worst)

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

        Args:
            lipschitz: ``L``.
            sizes: ``||s(a~)||`` ``[N]``.
            count: roundings relative to ``s``.
            small: what a component can lose to underflow, in units of ``2 tiny``.
            spread: ``B``; without it ``L``.
            reach: intermediate results are up to this factor larger than ``s``.
            doubt: from :meth:`doubt`, where the operation has constants.
        """
        m, kind = self.m, self.arithmetic
        constant = m.upper(lipschitz)
        spread = constant if spread is None else spread
        small = m.ones(layer.width, self.norm) * small
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
        own = m.lost(count, sizes, small, m.ones(layer.width, self.norm) * unit)
        self.own = constant * self.own + own
        self.lip = self.lip * constant

    def selected(self, layer: Layer, lipschitz: float) -> None:
        """A step that rounds nothing; but where subnormals count as zero they may be confused."""
        m, constant = self.m, self.m.upper(lipschitz)
        ones = m.ones(layer.inputs, self.norm)
        self.own = constant * (self.own + ones * (4 * m.tiny))
        self.d0 = constant * (self.d0 + ones * (4 * self.arithmetic.tiny))
        self.d1 = constant * self.d1
        self.lip = self.lip * constant

    def square_root(self, terms: int, layer: Layer) -> None:
        """Squares that underflow lose up to ``2 tiny`` each; a root makes that its square root."""
        ones = self.m.ones(layer.width, self.norm)
        for name, tiny in (("own", self.m.tiny), ("d0", self.arithmetic.tiny)):
            if tiny:
                lost = ones * 4.0 * self.m.root(self.m.upper(tiny) * float(terms))
                setattr(self, name, getattr(self, name) + lost)

    def squares_fit(self, terms: float) -> None:
        """What was bounded last must not overflow squared and added up ``terms ** 2`` times."""
        base, slope = self.magnitudes[-1]
        room = 4 * terms * min(self.arithmetic.largest, BINARY64.largest) ** 0.5
        self.magnitudes.append((base * room, slope * room))

    def fits(self, radius: Any) -> NDArray[np.bool_]:
        """Whether nothing can overflow within ``radius [N]`` of each point."""
        m = self.m
        fits = np.ones(len(self.values), dtype=bool)
        for base, slope in self.magnitudes:
            fits &= m.fits(base + slope * radius, self.arithmetic.largest)
            fits &= m.fits(base, m.largest)
        return fits
