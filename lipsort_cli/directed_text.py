"""Proven numbers as text: rounded towards the side on which they stay true.

A float is a binary fraction; its exact value is what is rounded here, so ``at_most`` never prints
less than the bound and ``at_least`` never more, whatever number of digits is shown.
"""

from __future__ import annotations

import math
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, Context, Decimal

_SMALLEST_PLAIN = -5
"""Decimal exponent from which on numbers are written without an exponent, as ``%g`` does."""

_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""In which nothing is rounded that need not be."""


def at_most(value: float, digits: int = 6) -> str:
    """An upper bound in ``digits`` significant digits, rounded towards plus infinity.

    >>> at_most(1 / 3, 3)
    '0.334'
    """
    return _directed(value, digits, ROUND_CEILING)


def at_least(value: float, digits: int = 6) -> str:
    """A lower bound in ``digits`` significant digits, rounded towards minus infinity.

    >>> at_least(2 / 3, 3)
    '0.666'
    """
    return _directed(value, digits, ROUND_FLOOR)


def confidence(failure: float) -> str:
    """The evidence of what fails with a probability of at most ``failure``; it is never certain.

    >>> confidence(0.05), confidence(1e-20)
    ('confidence 0.95', 'confidence 1 - 1e-20')
    """
    value = 1 - failure
    for text in (f"{value:g}", repr(value)):
        if abs(float(text) - value) <= 2.0**-52 and float(text) < 1:
            return f"confidence {text}"
    return f"confidence 1 - {at_most(failure)}"


def share_down(value: float, places: int = 2) -> str:
    """The share ``value`` in per cent, rounded down to ``places`` decimals.

    The percentage is of the exact binary value, except that a share which is the double nearest to
    a percentage of that many decimals is that percentage: 0.29 is 29.00%, although the double lies
    below. Only counts divided by a number of points are meant.

    >>> share_down(0.99999)
    '99.99%'

    Raises:
        ValueError: the value is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"no percentage of {value}")
    step = Decimal(1).scaleb(-places)
    percent = (Decimal(value) * 100).quantize(step, rounding=ROUND_FLOOR, context=_WIDE)
    above = percent + step
    if float(above / 100) == value:
        percent = above
    return f"{percent:f}%"


def fixed(value: float, places: int, rounding: str = "") -> str:
    """``value`` with ``places`` decimals; ``down`` of a lower bound, ``up`` of an upper one.

    A mean of shares in per cent, which was rounded as it was computed, is the decimal that it is
    within some roundings of.

    >>> fixed(100 * 0.29, 2, "down"), fixed(1.00001, 4, "up")
    ('29.00', '1.0001')
    """
    if not rounding or not math.isfinite(value):
        return f"{value:.{places}f}"
    nearest = f"{value:.{places}f}"
    if abs(float(nearest) - value) <= 4 * math.ulp(value):
        return nearest
    step = Decimal(1).scaleb(-places)
    kind = {"down": ROUND_FLOOR, "up": ROUND_CEILING}[rounding]
    return f"{Decimal(value).quantize(step, rounding=kind, context=_WIDE):f}"


def _directed(value: float, digits: int, rounding: str) -> str:
    if digits < 1:
        raise ValueError(f"digits: found {digits}; allowed: at least 1")
    if not math.isfinite(value):
        return str(float(value))
    context = Context(prec=digits, rounding=rounding, Emax=MAX_EMAX, Emin=MIN_EMIN)
    rounded = context.create_decimal(Decimal(float(value))).normalize(context)
    if rounded.is_zero():
        return "0"
    plain = _SMALLEST_PLAIN < rounded.adjusted() < max(digits, 1)
    return f"{rounded:f}" if plain else f"{rounded:e}"
