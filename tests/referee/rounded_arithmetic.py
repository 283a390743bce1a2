"""Binary32 and binary64 as a hostile machine may do them: any order, fused, flushed, badly rounded.

``Machine`` says how: in which order and tree terms are added, whether products are fused, what
happens to subnormal numbers, and which way roundings go. ``nearest`` is IEEE round to nearest by
NumPy itself; the other ways are the standard model ``fl(z) = z (1 + d)``, ``|d| <= u`` with every d
at its worst (numbers are then kept in binary64, for a unit of binary32).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

ORDERS = (
    "given",
    "reversed",
    "random",
    "rising",
    "falling",
    "positive first",
    "negative first",
)
TREES = ("chain", "pairs", "random tree")
FLUSHES = ("kept", "results", "everything")
ROUNDINGS = ("nearest", "away", "towards", "up", "down", "random")
UNITS = {"binary32": 2.0**-24, "binary64": 2.0**-53}
TINY = {"binary32": 2.0**-126, "binary64": 2.0**-1022}


@dataclass(frozen=True)
class Machine:
    """One way to evaluate a network that the claim of a certificate covers."""

    arithmetic: str
    order: str = "given"
    tree: str = "chain"
    fused: bool = False
    flush: str = "kept"
    rounding: str = "nearest"
    seed: int = 0

    def __str__(self) -> str:
        words = [self.arithmetic, self.order, self.tree, self.rounding, f"subnormals {self.flush}"]
        return ", ".join([*words, "fused"] if self.fused else words) + f", seed {self.seed}"


def draw_machine(rng: np.random.Generator, arithmetic: str) -> Machine:
    """A random machine; the model's worst roundings exist for binary32 only."""
    badly = arithmetic == "binary32" and rng.random() < 0.4
    return Machine(
        arithmetic,
        order=str(rng.choice(ORDERS)),
        tree=str(rng.choice(TREES)),
        fused=bool(rng.random() < 0.25) and not badly,
        flush=str(rng.choice(FLUSHES)),
        rounding=str(rng.choice(ROUNDINGS[1:])) if badly else "nearest",
        seed=int(rng.integers(1 << 31)),
    )


class Rounded:
    """The definitions' arithmetic on a :class:`Machine`; see :mod:`definitions`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = machine.arithmetic
        self.unit, self.tiny = UNITS[self.name], TINY[self.name]
        self.model = machine.rounding != "nearest"
        narrow = self.name == "binary32" and not self.model
        self.dtype = np.dtype(np.float32 if narrow else np.float64)
        self.rng = np.random.default_rng(machine.seed)

    def _settle(self, made: Any, *operands: Any) -> np.ndarray:
        """What a computed result becomes: badly rounded, flushed."""
        made = np.asarray(made)
        assert made.dtype == self.dtype, (made.dtype, self.dtype)
        if self.model:
            made = self._badly(made, operands)
        if self.machine.flush != "kept":
            made = np.where(np.abs(made) < self.tiny, self.dtype.type(0), made)
        return made

    def _badly(self, made: np.ndarray, operands: tuple[Any, ...]) -> np.ndarray:
        # The share leaves room for the rounding of binary64 itself.
        step = self.unit * (1 - 2.0**-20)
        way = self.machine.rounding
        if way == "random":
            sign: Any = self.rng.choice([-1.0, 1.0], made.shape)
        else:
            sign = {"away": 1.0, "towards": -1.0, "up": np.sign(made), "down": -np.sign(made)}[way]
        moved = made * (1 + sign * step)
        for operand in operands:  # x + 0 and 1 x are exact wherever x is a number
            moved = np.where(made == operand, made, moved)
        return np.where(np.isfinite(made) & (np.abs(made) >= 2.0**128), np.inf * made, moved)

    def _seen(self, values: Any) -> Any:
        """An operand as the machine sees it."""
        if self.machine.flush != "everything":
            return values
        return np.where(np.abs(values) < self.tiny, self.dtype.type(0), values)

    def take(self, values: np.ndarray) -> np.ndarray:
        """Stored numbers, which this arithmetic must represent."""
        kept = values.astype(np.float32 if self.name == "binary32" else np.float64)
        assert (kept == values).all(), "not a number of this arithmetic"
        return kept.astype(self.dtype)

    def constant(self, value: float) -> np.ndarray:
        """A number of the graph, rounded to this arithmetic."""
        if self.model and float(np.float32(value)) != value:
            return self._settle(np.float64(value))
        return np.asarray(self.dtype.type(value))

    def complement(self, value: float) -> np.ndarray:
        """``1 - value``, formed in binary64 and rounded once, or in this arithmetic itself."""
        if self.choose("before", "here") == "before":
            return self.constant(1.0 - value)
        return self.subtract(self.constant(1.0), self.constant(value))

    def add(self, left: Any, right: Any) -> np.ndarray:
        left, right = self._seen(left), self._seen(right)
        return self._settle(left + right, left, right)

    def subtract(self, left: Any, right: Any) -> np.ndarray:
        left, right = self._seen(left), self._seen(right)
        return self._settle(left - right, left, -right)

    def multiply(self, left: Any, right: Any) -> np.ndarray:
        left, right = self._seen(left), self._seen(right)
        return self._settle(left * right, left, right)

    def divide(self, left: Any, right: Any) -> np.ndarray:
        left, right = self._seen(left), self._seen(right)
        return self._settle(left / right, left)

    def square_root(self, values: np.ndarray) -> np.ndarray:
        return self._settle(np.sqrt(self._seen(values)))

    def absolute(self, values: np.ndarray) -> np.ndarray:
        return np.abs(values)

    def maximum(self, left: Any, right: Any) -> np.ndarray:
        return np.maximum(self._seen(left), self._seen(right))

    def minimum(self, left: Any, right: Any) -> np.ndarray:
        return np.minimum(self._seen(left), self._seen(right))

    def largest(self, values: np.ndarray, axis: int) -> np.ndarray:
        return self._seen(values).max(axis=axis)

    def ascending(self, values: np.ndarray, axis: int) -> np.ndarray:
        return np.sort(self._seen(values), axis=axis)

    def monotone(self, function: Any, values: np.ndarray) -> np.ndarray:
        return np.asarray(function(self._seen(values)))

    def affine(
        self, values: np.ndarray, weights: np.ndarray, bias: np.ndarray | None
    ) -> np.ndarray:
        """``sum_k values[n, m, k] weights[m, k] + bias[m]``; the bias is added at any place."""
        weights = self.take(weights)
        start = None if bias is None else np.broadcast_to(self.take(bias), values.shape[:2])
        if self.machine.fused:
            return self._fused(values, np.broadcast_to(weights, values.shape), start)
        terms = self.multiply(values, weights)
        if start is not None:
            terms = np.concatenate([terms, start[..., None]], axis=-1)
        return self.total(terms)

    def squares(self, values: np.ndarray) -> np.ndarray:
        """The sum of squares along the last axis."""
        if self.machine.fused:
            return self._fused(values, values, None)
        return self.total(self.multiply(values, values))

    def total(self, terms: np.ndarray) -> np.ndarray:
        """A sum along the last axis, in the machine's order and tree."""
        parts = list(np.moveaxis(self._ordered(terms), -1, 0))
        while len(parts) > 1:
            if self.machine.tree == "chain":
                made = self.add(parts[0], parts[1])
                parts = [made, *parts[2:]]
            elif self.machine.tree == "pairs":
                made = [self.add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
                parts = made + parts[len(made) * 2 :]
            else:
                first, second = sorted(self.rng.choice(len(parts), 2, replace=False).tolist())
                right, left = parts.pop(second), parts.pop(first)
                parts.insert(int(self.rng.integers(len(parts) + 1)), self.add(left, right))
        return parts[0]

    def _ordered(self, terms: np.ndarray) -> np.ndarray:
        return np.take_along_axis(terms, self._places(terms), axis=-1)

    def _places(self, terms: np.ndarray) -> np.ndarray:
        order = self.machine.order
        if order in ("given", "reversed"):
            places = np.arange(terms.shape[-1])[:: -1 if order == "reversed" else 1]
            return np.broadcast_to(places, terms.shape)
        keys = {
            "random": lambda: self.rng.random(terms.shape),
            "rising": lambda: np.abs(terms),
            "falling": lambda: -np.abs(terms),
            "positive first": lambda: -terms,
            "negative first": lambda: terms,
        }[order]()
        return np.argsort(keys, axis=-1, kind="stable")

    def _fused(self, left: np.ndarray, right: np.ndarray, start: np.ndarray | None) -> np.ndarray:
        """A chain of fused multiplications and additions, begun with ``start``."""
        left, right = self._seen(left), self._seen(right)
        places = self._places(left * right)
        left = np.take_along_axis(left, places, axis=-1)
        right = np.take_along_axis(np.broadcast_to(right, left.shape), places, axis=-1)
        total = np.zeros(left.shape[:-1], self.dtype) if start is None else start
        fuse = _fuse32 if self.dtype == np.float32 else _fuse64
        for term in range(left.shape[-1]):
            total = self._settle(fuse(left[..., term], right[..., term], self._seen(total)))
        return total

    def tanh(self, values: np.ndarray) -> np.ndarray:
        """Some library's: good for finding directions; no claim is ever made of it."""
        return self._settle(np.tanh(values))

    def sigmoid(self, values: np.ndarray) -> np.ndarray:
        """Likewise."""
        return self._settle(1 / (1 + np.exp(-values)))

    def choose(self, *spellings: str) -> str:
        """Of several spellings of one formula, any."""
        return str(self.rng.choice(spellings))


def _fuse32(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """``a b + c`` in binary32, rounded once: the product is exact in binary64, the sum to odd."""
    product, other = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + other
    part = total - product
    lost = (product - (total - part)) + (other - part)
    even = total.view(np.int64) & 1 == 0
    inexact = np.isfinite(lost) & (lost != 0) & even
    odd = np.nextafter(total, np.where(lost > 0, np.inf, -np.inf))
    return np.where(inexact, odd, total).astype(np.float32)


def _fuse64(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """``a b + c`` in binary64 to within ``u + u^2``; not fused where Dekker's split overflows."""
    product = a * b
    fits = (np.abs(a) < 2.0**900) & (np.abs(b) < 2.0**900) & (np.abs(product) < 2.0**990)
    fits &= (np.abs(product) > 2.0**-900) & np.isfinite(c)
    x, y = np.where(fits, a, 0.0), np.where(fits, b, 0.0)
    upper, lower = _split(x), _split(y)
    exact = x * y
    lost = ((upper[0] * lower[0] - exact) + upper[0] * lower[1] + upper[1] * lower[0]) + (
        upper[1] * lower[1]
    )
    total = product + c
    part = total - product
    rest = (product - (total - part)) + (c - part)
    return np.where(fits & np.isfinite(total), total + (rest + lost), total)


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dekker's split into two halves of 26 bits."""
    shifted = values * 134217729.0
    upper = shifted - (shifted - values)
    return upper, values - upper
