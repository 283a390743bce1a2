"""Whether an ordering holds over seeds, and not by one lucky run.

Means and spreads are those of reports. What is asserted can be read, and tested, on its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lipsort_cli.directed_text import fixed
from lipsort_cli.reports.rows import Spread

LEVEL = 0.95
"""One-sided level of every test."""


@dataclass(frozen=True)
class Sample:
    """One figure of one setting, by seed; ``rounding``: ``down`` or ``up`` where it is a bound."""

    by_seed: Mapping[int, float]
    rounding: str = ""

    @property
    def values(self) -> list[float]:
        """In the order of seeds."""
        return [self.by_seed[seed] for seed in sorted(self.by_seed)]

    @property
    def mean(self) -> float:
        """Of the seeds; NaN of none."""
        return Spread(tuple(self.values)).mean if self.by_seed else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation with n - 1; 0 for a single seed."""
        return Spread(tuple(self.values)).deviation

    def text(self, places: int = 3, scale: float = 1.0) -> str:
        """``mean ± standard deviation``."""
        if not self.by_seed:
            return "-"
        mean = fixed(scale * self.mean, places, self.rounding)
        return f"{mean} ± {scale * self.deviation:.{places}f}"


@dataclass(frozen=True)
class Test:
    """A one-sided t-test: is the mean over seeds beyond ``margin``, further than its spread?

    ``limit`` = mean -+ t(0.95, n - 1) * s / sqrt(n) is the end of a one-sided 95% interval of the
    mean, with Student's t: with three seeds, 2.92 standard errors from it. It is the lower end
    where the mean is to be above the margin, the upper one (``under``) where it is to be below.
    """

    mean: float
    deviation: float
    count: int
    margin: float
    limit: float
    under: bool = False

    @property
    def tested(self) -> bool:
        """One seed has no spread that a difference could be measured against."""
        return self.count >= 2

    @property
    def holds(self) -> bool:
        """Whether the limit is beyond the margin; NaN is not."""
        beyond = self.limit < self.margin if self.under else self.limit > self.margin
        return self.tested and beyond

    def words(self, what: str) -> str:
        """Exactly what was tested, with its figures."""
        if not self.tested:
            return f"{what}: {self.mean:.4g}; not tested, one seed has no spread"
        end, sign = ("upper", "<") if self.under else ("lower", ">")
        sign = sign if self.holds else f"not {sign}"
        return (
            f"{what}: mean {self.mean:.4g}, standard deviation {self.deviation:.2g} over "
            f"{self.count} seeds, 95% {end} limit {self.limit:.4g} {sign} {self.margin:g}"
        )


def _test(sample: Sample, margin: float, *, under: bool) -> Test:
    n = len(sample.by_seed)
    if n == 0:
        return Test(math.nan, math.nan, 0, margin, math.nan, under)
    width = 0.0
    if n > 1:
        from scipy.stats import t

        width = float(t.ppf(LEVEL, n - 1)) * sample.deviation / math.sqrt(n)
    limit = sample.mean + (width if under else -width)
    return Test(sample.mean, sample.deviation, n, margin, limit, under)


def above(sample: Sample, margin: float) -> Test:
    """Test that the mean of ``sample`` is greater than ``margin``."""
    return _test(sample, margin, under=False)


def below(sample: Sample, margin: float) -> Test:
    """Test that the mean of ``sample`` is less than ``margin``."""
    return _test(sample, margin, under=True)


def greater(first: Sample, second: Sample, margin: float = 0.0) -> Test:
    """Test that ``first`` exceeds ``second`` by more than ``margin``, paired by seed.

    Only seeds that both have count: the difference of a seed is free of what that seed does to
    both (which images are drawn, which points are attacked).
    """
    common = first.by_seed.keys() & second.by_seed.keys()
    return above(Sample({s: first.by_seed[s] - second.by_seed[s] for s in common}), margin)
