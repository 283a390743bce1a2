"""``--exact``: the second machine. Activations are integers, bounds are balls of python-flint.

The formulas are those that :class:`lipsort_cli.verifier.rounding.Binary64` evaluates; here sums,
products and selections are exact, quotients and roots are cut off, and after each operation that
rounds at all the activations are cut to ``bits`` bits below the largest of the batch: a floating
grid, so that no input is too small for it. What was cut off is carried along as ``own``. A bound is
a ball ``arb`` that contains the true value of its formula, and a comparison of balls is true only
if it is certain. A claim that the first try does not settle is tried again with far more bits; what
then is certainly false is INVALID, what is still undecided UNSUPPORTED.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import network_constant, prove_chain
from .errors import Invalid, Unsupported, require
from .graph import Network
from .radii import Claims
from .rounding import Machine
from .w1 import Claim

Integers = NDArray[np.object_]

BITS = (96, 1024)  # kept of activations: at first, and where that does not decide

_POWERS = 256  # fractional bits of powers of a decay
_roots: Callable[[Any], Any] = np.frompyfunc(math.isqrt, 1, 1)


def flint() -> Any:
    """python-flint, or UNSUPPORTED without it."""
    try:
        import flint as found
    except ImportError:
        raise Unsupported("--exact", "needs python-flint: pip install python-flint") from None
    return found


def _kept(name: str) -> Callable[..., Grid]:
    """What arrays do, for numbers that stay on their grid."""
    return lambda grid, *given: Grid(getattr(grid.values, name)(*given), grid.shift)


class Grid:
    """An array of numbers ``values * 2**-shift``, exactly; ``values`` are Python's integers."""

    __slots__ = ("matrix", "shift", "values")
    __array_ufunc__ = None

    def __init__(self, values: Any, shift: int) -> None:
        self.values: Integers = np.asarray(values, dtype=object)
        self.shift = shift
        self.matrix: Any = None

    @classmethod
    def of(cls, numbers: NDArray[np.floating[Any]] | float) -> Grid:
        """Floats, exactly. Raises Unsupported for NaN and infinities."""
        wide = np.asarray(numbers, dtype=np.float64)
        reason = "a sum too long for its error bound, NaN or infinity"
        require(np.isfinite(wide).all(), "--exact", reason, Unsupported)
        mantissa, exponent = np.frexp(wide)
        whole = np.ldexp(mantissa, 53).astype(np.int64)
        powers = np.where(whole == 0, 1 << 20, exponent - 53)
        low = min(int(powers.min(initial=0)), 0)
        lifted = np.where(whole == 0, 0, powers - low).astype(object)
        return cls(whole.astype(object) << lifted, -low)

    def at(self, shift: int) -> Integers:
        """The integers on a finer grid."""
        return self.values if shift == self.shift else self.values << (shift - self.shift)

    def __add__(self, other: Grid) -> Grid:
        shift = max(self.shift, other.shift)
        return Grid(self.at(shift) + other.at(shift), shift)

    def __sub__(self, other: Grid) -> Grid:
        return self + Grid(-other.values, other.shift)

    def __mul__(self, other: Grid | float) -> Grid:
        other = other if isinstance(other, Grid) else Grid.of(other)
        return Grid(self.values * other.values, self.shift + other.shift)

    __abs__, __getitem__ = _kept("__abs__"), _kept("__getitem__")
    reshape, transpose, sum, max = map(_kept, ("reshape", "transpose", "sum", "max"))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.values.shape

    def fraction(self) -> Fraction:
        """A single number."""
        return Fraction(int(self.values), 1 << self.shift)

    def bits(self) -> int:
        """``e`` with ``|numbers| < 2 ** e``, as small as possible."""
        return int(abs(self.values).max(initial=0)).bit_length() - self.shift


class Exact(Machine):
    """Activations are :class:`Grid` ``[N, n]``, upper bounds ``arb`` or object arrays of them."""

    unit, tiny, largest = 0.0, 0.0, math.inf
    bulk, exactly = 4, True
    ranks, cut = 150, 2.0**-140

    def __init__(self, bits: int) -> None:
        """``bits``: kept of activations, below the largest of a batch."""
        super().__init__()
        self.arb, self.fmpq, self.fmpz_mat = flint().arb, flint().fmpq, flint().fmpz_mat
        self.bits = bits
        self.cut_at: list[int] = []  # grids of quotients and roots since activations settled
        self.root: Callable[[Any], Any] = np.frompyfunc(lambda ball: ball.sqrt(), 1, 1)
        self._larger = np.frompyfunc(lambda left, right: left.max(right), 2, 1)

    def upper(self, value: float | Fraction) -> Any:
        if value == math.inf:
            return self.arb.pos_inf()
        exact = Fraction(value)
        return self.arb(self.fmpq(exact.numerator, exact.denominator))

    def uppers(self, values: Grid) -> Any:
        unit = self.upper(Fraction(1, 1 << values.shift))
        return np.frompyfunc(lambda whole: self.arb(whole) * unit, 1, 1)(values.values)

    def array(self, values: NDArray[np.floating[Any]]) -> Grid:
        return Grid.of(values)

    def ones(self, count: int, norm: str) -> Any:
        found = self.upper(1 if norm == "linf" else count)
        return found.sqrt() if norm == "l2" else found

    def norm(self, values: Any, norm: str) -> Any:
        if not isinstance(values, Grid):  # but bounds
            if norm == "linf":
                return self._larger.reduce(values, axis=-1)
            return values.sum(-1) if norm == "l1" else self.root((values * values).sum(-1))
        if norm == "l2":
            return self.root(self.uppers((values * values).sum(-1)))
        return self.uppers(abs(values).max(-1) if norm == "linf" else abs(values).sum(-1))

    def stack(self, bounds: Sequence[Any]) -> Any:
        return np.stack([np.asarray(bound, dtype=object) for bound in bounds], axis=-1)

    def enlarge(self, values: Grid, count: int) -> Grid:
        return values + Grid(1, min(self.cut_at)) if self.cut_at else values

    def difference(self, first: Grid, second: Grid) -> Any:
        return self.uppers(first - second)

    def holds(self, bound: Any, number: Fraction) -> bool:
        return bool(bound <= self.upper(number))

    def product(self, values: Grid, weight: Grid) -> Grid:
        if weight.matrix is None:  # kept for the next batch: converting it takes long
            weight.matrix = self._matrix(weight.values.T)
        made = self._integers(self._matrix(values.values) * weight.matrix)
        return Grid(made, values.shift + weight.shift)

    def multiply(self, left: Integers, right: Integers) -> Integers:
        return self._integers(self._matrix(left) * self._matrix(right))

    def _matrix(self, values: Integers) -> Any:
        return self.fmpz_mat(*values.shape, values.reshape(-1).tolist())

    def _integers(self, matrix: Any) -> Integers:
        out = np.empty(matrix.nrows() * matrix.ncols(), dtype=object)
        out[:] = [int(entry) for entry in matrix.entries()]
        return out.reshape(matrix.nrows(), matrix.ncols())

    def bilinear(self, function: Callable[..., Any], *values: Grid) -> Grid:
        *others, last = values
        made = self.select(lambda *arrays: function(*arrays, last.values), *others)
        return Grid(made.values, made.shift + last.shift)

    def floats(self, values: Grid) -> NDArray[np.float64]:
        scale = Fraction(1, 1 << values.shift)
        divided = np.frompyfunc(lambda whole: float(whole * scale), 1, 1)(values.values)
        return np.asarray(divided, dtype=np.float64)

    def divide(self, values: Grid, by: Grid | float) -> Grid:
        by = by if isinstance(by, Grid) else Grid.of(by)
        least = int(np.min(by.values)).bit_length() - by.shift
        shift = max(0, self.bits + 16 - values.bits() + least)
        self.cut_at.append(shift)
        power = shift - values.shift + by.shift
        return Grid((values.values << max(power, 0)) // (by.values << max(-power, 0)), shift)

    def square_roots(self, values: Grid) -> Grid:
        shift = max(0, self.bits + 16 - values.bits() // 2)
        self.cut_at.append(shift)
        power = 2 * shift - values.shift
        return Grid(_roots((values.values << max(power, 0)) >> max(-power, 0)), shift)

    def select(self, function: Callable[..., Any], *values: Grid) -> Grid:
        shift = max(grid.shift for grid in values)
        return Grid(function(*(grid.at(shift) for grid in values)), shift)

    def smooth(self, function: Callable[[Any], Any], values: Grid) -> tuple[Grid, Any]:
        """A function of balls with slopes of at most 1, and what each component is off by."""
        one = self.arb(1 << self.bits)

        def nearest(ball: Any) -> int:
            return int((function(ball) * one).mid().floor().unique_fmpz())

        made = Grid(np.frompyfunc(nearest, 1, 1)(self.uppers(values)), self.bits)
        return made, self.upper(Fraction(4, 1 << self.bits))

    def powers(self, decay: float, count: int) -> Grid:
        """``(1 - decay) decay^k``, cut off."""
        number = Fraction(decay)
        values = [math.floor((1 - number) * (1 << _POWERS))]
        for _ in range(count - 1):
            values.append(values[-1] * number.numerator // number.denominator)
        return Grid(values, _POWERS)

    def settle(self, values: Grid) -> tuple[Grid, Any]:
        shift = min([max(0, self.bits - values.bits()), values.shift, *self.cut_at])
        lost = 4 if self.cut_at or shift < values.shift else 0
        self.cut_at.clear()
        kept = Grid(values.values >> (values.shift - shift), shift)
        return kept, self.upper(Fraction(lost, 1 << shift))


def check_exactly(
    certificate: dict[str, Any], network: Network, claims: Claims | Claim, patience: Any
) -> str:
    """Judge a certificate that binary64 has confirmed; returns a line for the report."""
    with flint().ctx.workprec(256):
        m = Exact(BITS[0])
        for place, route in enumerate(claims.routes):
            where = f"routes[{place}].layers"
            prove_chain(network.layers, route.bounds, route.norm, m, route.inputs, where)
        stated = m.upper(certificate["lipschitz"]["network"])
        refuted = network_constant(network, claims.routes, claims.norm, m) > stated
        require(not refuted, "lipschitz.network", "is below what the layer bounds give exactly")
    check_claims(network, claims, patience)
    radii = claims.radii if isinstance(claims, Claims) else np.zeros(0)
    what = f"{(radii > 0).sum()} radii" if len(radii) else "the bound's value"
    return f"Confirmed in exact arithmetic: layer bounds and {what}"


def check_claims(network: Network, claims: Claims | Claim, patience: Any = None) -> None:
    """Every radius above 0, or the bound. Raises Invalid or Unsupported at the first not proven."""
    if isinstance(claims, Claims):
        rows, count, name = np.flatnonzero(claims.radii > 0), 1, "points.radius[{}]"
    else:
        count = sum(len(claims.tensors[side]) for side in "xy") * len(claims.routes)
        rows, name = np.zeros(1, np.int64), "claim.value"
    for bits in BITS:
        if bits > BITS[0] and patience is not None:
            patience.again(network, count * len(rows))
        with flint().ctx.workprec(bits + 160):
            verdicts = claims.judge(network, rows, Exact(bits))[0]
        for row in rows[verdicts < 0][:1]:
            raise Invalid(name.format(row), "is not proven in exact arithmetic")
        rows = rows[verdicts == 0]
        if not len(rows):
            return
    reason = f"exact arithmetic of {BITS[-1]} bits cannot decide whether it is proven"
    raise Unsupported(name.format(rows[0]), reason)
