"""What is known about the activations of a batch, and how a rounded operation changes it.

The recurrence is derived in :mod:`lipsort_cli.verifier.evaluation`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.rounding import BINARY64, Arithmetic, Floats, add_up, gamma, mul_up


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


def rounded(
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


def square_root(state: State, terms: int, ones: float, arithmetic: Arithmetic) -> None:
    """Squares that underflow lose up to ``2 tiny`` each; a root makes that its square root."""
    for name, kind in (("d64", BINARY64), ("d0", arithmetic)):
        lost = 4 * math.sqrt(terms * kind.tiny) * ones
        setattr(state, name, np.asarray(add_up(getattr(state, name), lost)))


def squares_fit(state: State, terms: float, arithmetic: Arithmetic) -> None:
    """What was bounded last must not overflow when squared and added up ``terms ** 2`` times."""
    base, slope = state.magnitudes[-1]
    room = 4 * terms * math.sqrt(min(arithmetic.largest, BINARY64.largest))
    state.magnitudes.append((np.asarray(mul_up(room, base)), np.asarray(mul_up(room, slope))))
