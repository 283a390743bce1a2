"""What a certificate claims and does not claim, in words. Generated, never copied from the file."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from .graph import Network
from .rounding import ARITHMETICS

NORM_NAMES = {"l2": "L2", "linf": "L-infinity", "l1": "L1"}
ARITHMETIC_WORDS = {
    "real": "in real arithmetic (the network evaluated without rounding)",
    "binary64": "evaluated in IEEE binary64, sums in any order, fused or not",
    "binary32": "evaluated in IEEE binary32 (float32), sums in any order, fused or not",
}


DIGITS = 12
"""Significant digits of proven numbers in words; the files hold them exactly."""


def at_most(value: float) -> str:
    """An upper bound in ``DIGITS`` digits, rounded up from the exact binary value."""
    return _rounded(value, ROUND_CEILING)


def at_least(value: float) -> str:
    """A lower bound in ``DIGITS`` digits, rounded down from the exact binary value."""
    return _rounded(value, ROUND_FLOOR)


def _rounded(value: float, direction: str) -> str:
    text = str(Context(prec=DIGITS, rounding=direction).create_decimal(Decimal(value)))
    return text.rstrip("0").rstrip(".") if "." in text and "E" not in text else text


def classification_statement(
    norm: str, arithmetic: str, points: int, correct: int, certified: int
) -> str:
    """The claim of a classification certificate."""
    return (
        f"Proven: for {certified} of {points} points ({correct} of them predicted as labelled), "
        f"every input within the point's radius in the {NORM_NAMES[norm]} norm, in raw input "
        f"units, gets the point's label from the network {ARITHMETIC_WORDS[arithmetic]}. "
        f"Not claimed: anything about points with radius 0, about other points of the "
        f"distribution, about TF32, bfloat16 or float16, or about any other network."
    )


def assumptions(network: Network, arithmetic: str) -> list[str]:
    """What the proof takes for granted about machines; everything else is checked."""
    found = [
        "ieee-754-verifier: binary64 operations of the verifying machine, and the matrix products "
        "of its NumPy, round to nearest and sum conventionally (any order, fused or not, no "
        "Strassen)",
        "sha-256: no two inputs with the same SHA-256 are known",
    ]
    if ARITHMETICS[arithmetic].unit:
        found.append(
            f"ieee-754-{arithmetic}: the deployed network uses {arithmetic} round-to-nearest for "
            "every operation; sums in any order, fused or not, subnormals kept or flushed; "
            "products of matrices and convolutions as sums of products (no Winograd, FFT or "
            "Strassen algorithm), and no TF32, bfloat16 or float16 inside"
        )
    if network.smooth():
        found.append(
            "libm: binary64 tanh and exp of the verifying machine's NumPy are accurate to 16 units "
            "in the last place"
        )
    return found
