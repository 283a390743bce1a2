"""What a study searches: the sweeps among a command's words, in Hydra's grammar."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig

from lipsort_cli.config.compose import Composer
from lipsort_cli.config.tune import EXAMPLE, HOLDS_OUT, silent
from lipsort_cli.errors import UsageError

ALLOWED = "log(1e-3,1), interval(0,1), int(log(8,512)), range(1,9), choice(a,b) or a,b"
DIGITS = 4
"""Significant digits of a number that is tried: a command line is to be read."""


@dataclass(frozen=True)
class Dimension:
    """One key that is searched: an interval, or a list of values as Hydra writes them."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    values: tuple[str, ...] = ()
    ordered: bool = False

    def draw(self, trial: Any) -> str:
        """The value that Optuna's ``trial`` is to try, as text."""
        if self.ordered:
            return self.values[trial.suggest_int(self.key, 0, len(self.values) - 1)]
        if self.values:
            return str(trial.suggest_categorical(self.key, self.values))
        if self.whole:
            low, high = int(self.low), int(self.high)
            return str(trial.suggest_int(self.key, low, high, log=self.log))
        return self._text(trial.suggest_float(self.key, self.low, self.high, log=self.log))

    def meant_whole(self, error: UsageError) -> bool:
        """Whether ``error`` is that this interval's ends, which are whole, were sent as floats."""
        if self.values or self.whole or self.low % 1 or self.high % 1:
            return False
        return f"{self.key}: found {float(self.low)}; allowed: a whole" in str(error)

    @property
    def count(self) -> float:
        """How many values there are; infinitely many in an interval."""
        if self.values:
            return len(self.values)
        return int(self.high) - int(self.low) + 1 if self.whole else math.inf

    def at(self, place: int) -> int | str:
        """The value at ``place`` of a dimension that is no interval, as Optuna would draw it."""
        if self.values and not self.ordered:
            return self.values[place]
        return place if self.ordered else int(self.low) + place

    def _text(self, value: float) -> str:
        short = f"{value:.{DIGITS}g}"
        return short if self.low <= float(short) <= self.high else repr(value)

    @property
    def probes(self) -> Sequence[str]:
        """Values with which the command must be sound."""
        if self.values:
            return self.values
        if self.whole:
            return str(int(self.low)), str(int(self.high))
        return repr(self.low), repr(self.high)


@dataclass(frozen=True)
class Space:
    """What is searched, and the words that all trials share."""

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...]

    @property
    def size(self) -> float:
        """How many different trials there are."""
        return math.prod(one.count for one in self.dimensions)

    def at(self, place: int) -> dict[str, int | str]:
        """What Optuna would draw for trial ``place`` of a finite space."""
        found = {}
        for one in self.dimensions:
            place, own = divmod(place, int(one.count))
            found[one.key] = one.at(own)
        return found

    def draw(self, trial: Any) -> list[str]:
        """The overrides of Optuna's ``trial``, those that are searched."""
        return [f"{one.key}={one.draw(trial)}" for one in self.dimensions]


def read(command: str, words: Sequence[str], goals: Collection[str] = ()) -> Space:
    """The space of a study of ``lipsort COMMAND WORDS...`` for ``goals``, figures that are logged.

    Raises:
        UsageError: a word is wrong, nothing is searched (all faults together), or a key is 0 that
            makes trials log a goal.
    """
    functions = create_functions()
    # No annotations: Hydra would check the values against them as they stand here, as text.
    functions.register("log", lambda low, high: _log(low, high))
    parser = OverridesParser(functions)
    dimensions: list[Dimension] = []
    fixed, faults = [], []
    for word in words:
        try:
            found = parser.parse_override(word)
            if not found.is_sweep_override():
                fixed.append(word)
                continue
            dimensions.append(_dimension(found))
        except (HydraException, ValueError) as error:
            # The first words say where in the text, the last what.
            faults.append(f"found {word!r}; allowed: {ALLOWED} ({str(error).splitlines()[-1]})")
    keys = [one.key for one in dimensions]
    faults += [f"{key}: found twice" for key in sorted({k for k in keys if keys.count(k) > 1})]
    faults += [
        f"{key}: found several values; allowed: one, as it decides which rows are held out, and "
        "those that the best trial is judged on would be some that others learned from"
        for key in HOLDS_OUT.get(command, ()) if key in keys
    ]  # fmt: skip
    if not dimensions and not faults:
        # In place of its key, if that is there with one value; else behind the command.
        place = next((w for w in words if w.startswith("optimizer.lr=")), command)
        raise UsageError(
            f"found {' '.join(words) or 'no keys'} and so nothing to search; allowed: a key with "
            f"several values, {ALLOWED}, as in '{EXAMPLE}'",
            ((place, [EXAMPLE] if place != command else [command, EXAMPLE]),),
        )
    if faults:
        raise UsageError("\n".join(faults))
    space = Space(tuple(dimensions), tuple(fixed))
    try:
        for config in configurations(command, space):
            if fault := silent(config, goals):
                raise UsageError(fault)
    except UsageError as error:
        counting = tuple(f"{one.key}=" for one in dimensions if one.meant_whole(error))
        instead = tuple(
            (word, [word.replace("=", "=int(", 1) + ")"])
            for word in words
            if word.startswith(counting)
        )
        raise UsageError(str(error), instead or error.instead) from error
    return space


def configurations(command: str, space: Space) -> Iterator[DictConfig]:
    """What trials are trained with: each end and each value of every key is in one of these.

    Raises:
        UsageError: one of them is wrong.
    """
    with Composer(command) as composer:
        for probe in _probes(space):
            yield composer.check(probe, multirun=False)


def _log(low: float, high: float) -> IntervalSweep:
    """``log(a,b)``: an interval by orders of magnitude."""
    return IntervalSweep(start=float(low), end=float(high), tags={"log"})


def _dimension(override: Override) -> Dimension:
    key, sweep = str(override.get_key_element()), override.value()
    if isinstance(sweep, IntervalSweep):
        return _interval(key, sweep)
    if isinstance(sweep, Glob):
        raise ValueError("a pattern names no values")
    if isinstance(sweep, ChoiceSweep) and any(isinstance(v, IntervalSweep) for v in sweep.list):
        raise ValueError("an interval is no value of a list")
    values = tuple(override.sweep_string_iterator())
    if len(set(values)) != len(values):
        raise ValueError("a value comes twice")
    if not values:
        raise ValueError("it holds no value")
    return Dimension(key, values=values, ordered=isinstance(sweep, RangeSweep))


def _interval(key: str, sweep: IntervalSweep) -> Dimension:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    assert low is not None and high is not None
    if not -math.inf < low < high < math.inf:
        raise ValueError("the first end is below the second, both are numbers")
    if log and low <= 0:
        raise ValueError("a logarithm needs ends above 0")
    # Only int(...) makes whole numbers of ends, which are floats otherwise.
    return Dimension(key, low, high, log, isinstance(low, int))


def _probes(space: Space) -> Iterator[list[str]]:
    """Command lines that hold every probe of every dimension at least once."""
    for place in range(max(len(one.probes) for one in space.dimensions)):
        yield [
            *space.fixed,
            *(f"{d.key}={d.probes[min(place, len(d.probes) - 1)]}" for d in space.dimensions),
        ]
