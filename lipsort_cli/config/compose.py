"""From command-line overrides to a typed configuration, or to all faults in one message.

Hydra stops at the first fault, in its own words. Here a composition that fails is taken apart:
every override is tried on its own, what is wrong with it is said in terms of the key, what was
found and what is allowed, and the rest is checked for ranges and cross-field rules as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from hydra.version import setbase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli.config import catalog, plugins
from lipsort_cli.config.explain import explain_override, is_group
from lipsort_cli.config.loader import Loader
from lipsort_cli.config.meant import override_like
from lipsort_cli.config.registry import commands_of
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.store import register
from lipsort_cli.config.tree import config_root
from lipsort_cli.config.typed import faults_of, usage_error
from lipsort_cli.errors import Fault, Instead, UsageError, first_line
from lipsort_cli.files import there
from lipsort_cli.quoting import quoted

_TEXTS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "run", "resume")
"""Keys whose values are text, beside those that a dataclass says so of."""

_CHECKED_JOBS = 64
"""Jobs of a sweep that are checked before it starts; the others are checked as they start."""


_shipped: dict[object, Loader] = {}
"""Loaders of the shipped tree, which no process changes, by what plugins have put beside it."""


def _of_the_shipped(search_path: ConfigSearchPath) -> Loader:
    places = tuple((place.provider, place.path) for place in search_path.get_path())
    options = tuple((group, *kinds.items()) for group, kinds in GROUPS.items())
    return _shipped.setdefault((places, options), Loader(search_path))


class Composer:
    """Hydra's configuration loader, set up for one command; a context manager.

    ``name``: another primary configuration (``--config-name``); ``path``: another configuration
    tree (``--config-path``); ``extra``: a folder that is searched first (``--config-dir``).
    """

    def __init__(
        self,
        command: str,
        *,
        name: str | None = None,
        path: Path | None = None,
        extra: Path | None = None,
    ) -> None:
        self.command = command
        self.name = name or command.replace("-", "_")
        self._path = path or config_root()
        self._extra = extra

    def __enter__(self) -> Composer:
        register()
        setbase("1.3")
        search_path = create_config_search_path(str(self._path))
        if self._extra is not None:
            if not self._extra.is_dir():
                raise UsageError(f"--config-dir: found {self._extra}, which is no directory")
            search_path.prepend(
                provider="command-line",
                path=f"file://{self._extra}",
                anchor=SearchPathQuery(provider="schema"),
            )
        shipped = self._extra is None and self._path == config_root()
        self.loader = _of_the_shipped(search_path) if shipped else Loader(search_path)
        self._hydra = Hydra(task_name=self.command, config_loader=self.loader)
        GlobalHydra.instance().clear()
        GlobalHydra.instance().initialize(self._hydra)
        return self

    def __exit__(self, *_: object) -> None:
        GlobalHydra.instance().clear()

    def compose(self, overrides: list[str]) -> DictConfig:
        """The composed configuration with its ``hydra`` node; raises as Hydra does."""
        try:
            return self._hydra.compose_config(
                config_name=self.name,
                overrides=overrides,
                run_mode=RunMode.RUN,
                from_shell=False,
                with_log_configuration=False,
            )
        except AssertionError as error:
            # OmegaConf asserts what it finds on the way to a key: a null has no keys.
            raise ConfigCompositionException(
                f"it lies below a value without keys: {error}"
            ) from error
        except ValueError as error:  # of a group whose choice is no text
            raise ConfigCompositionException(first_line(error)) from error

    def parse(self, overrides: list[str]) -> tuple[list[Override], list[str]]:
        """Parsed overrides, and one fault for each that is not of Hydra's grammar."""
        parser = OverridesParser.create(config_loader=self.loader)
        parsed, faults = [], []
        for text in overrides:
            try:
                parsed.append(parser.parse_override(text))
            except HydraException as error:
                if "=" not in text:
                    faults.append(f"found {text!r}; allowed: an override such as key=value")
                else:
                    detail, meant = first_line(error), self._as_text(text)
                    if meant is not None:
                        parsed.append(parser.parse_override(meant[1][0]))
                    faults.append(
                        Fault(
                            f"found {text!r}, which is not in Hydra's override grammar: {detail}; "
                            "quote values that hold special characters: \"key='value'\"",
                            meant,
                        )
                    )
        return parsed, faults

    def _as_text(self, text: str) -> Instead | None:
        """An override whose value was meant as text, quoted; or what was meant of another type."""
        key, _, value = text.partition("=")
        if key not in _TEXTS and not catalog.is_text(self.command, key):
            return override_like(self.command, text)
        quotes = f"{key}={quoted(value)}"
        try:
            OverridesParser.create(config_loader=self.loader).parse_override(quotes)
        except HydraException:
            return None
        return text, [quotes]

    @plugins.blamed()
    def check(self, overrides: list[str], *, multirun: bool, ranges: bool = True) -> DictConfig:
        """Compose, and make sure that what will run is sound; the first job of a sweep.

        ``ranges`` also checks missing values, ranges and cross-field rules.

        Raises:
            UsageError: all faults together.
        """
        parsed, faults = self.parse(overrides)
        sound = []
        for override in parsed:
            chosen = None if override.is_sweep_override() else override.value()
            if isinstance(chosen, list) and is_group(override.key_or_group, self.loader):
                faults.append(_list_of_options(override, chosen, multirun))
                continue
            if override.is_sweep_override() and not multirun:
                words = f"{override.key_or_group}: found {override.get_value_string()}, a list of "
                if self.command == "tune":
                    faults.append(words + "choices; allowed: one value, as for all keys of its own")
                    continue
                words += "choices to sweep over; add -m to sweep, or quote it as one value"
                line = override.input_line or ""
                one = self._one_value(line)
                faults.append(Fault(words, one or (line, ["-m", line])))
                discrete = [override] if override.is_discrete_sweep() else []
                sound += self.parse(one[1])[0] if one else discrete
            elif unsound := self._unsound(override):
                faults.append(f"{override.key_or_group}: {unsound}")
            else:
                sound.append(override)
        self._tried: dict[tuple[str, ...], DictConfig | Exception] = {}
        composed: list[DictConfig | Exception] = []
        # Of the jobs of a sweep; of the one job without sweeps.
        jobs = itertools.product(*(self._variants(override) for override in sound))
        for job in itertools.islice(jobs, _CHECKED_JOBS):
            composed.append(self._attempt(list(job)))
            if isinstance(error := composed[-1], Exception):
                found, kept = self._explain(sound)
                faults += found or [first_line(error)]  # they fail only together
                composed = [self._attempt(kept)]
                break
        for config in composed:
            if isinstance(config, Exception):
                continue
            faults += _unsampled(sound, config) if multirun else []
            unfit = unusable(config, self.command)
            faults += unfit
            if ranges and not unfit:
                with known_to_hydra(config):
                    faults += faults_of(config, self.command)
        if faults:
            raise usage_error([self._with_line(f, parsed) for f in dict.fromkeys(faults)])
        assert isinstance(composed[0], DictConfig)
        return composed[0]

    def _one_value(self, text: str) -> Instead | None:
        """What ``text`` means that reads like a sweep: a list, a thousand, a name with a comma."""
        key, _, value = text.partition("=")
        if key in _TEXTS or there(value):
            return self._as_text(text)
        return override_like(self.command, text)

    def _with_line(self, fault: str, overrides: list[Override]) -> str:
        """``fault`` with the override that was meant, where its value says so."""
        if isinstance(fault, Fault) and fault.instead is not None:
            return fault
        for override in overrides:
            line = override.input_line or ""
            refused = fault.startswith(f"{override.key_or_group}: found ") and "; allowed:" in fault
            if refused and "=" in line:
                text = self._as_text(line) if fault.endswith("allowed: text") else None
                return Fault(fault, text or override_like(self.command, line))
        return fault

    @staticmethod
    def _variants(override: Override) -> list[str]:
        if not override.is_sweep_override():
            return [str(override.input_line)]
        key, sweep = override.get_key_element(), override.value()
        if isinstance(sweep, IntervalSweep):  # a sweeper plugin samples from it, seldom the ends
            low, high = sweep.start, sweep.end
            assert low is not None and high is not None
            return [f"{key}={low if isinstance(low, int) else (low + high) / 2}"]
        return [f"{key}={value}" for value in override.sweep_string_iterator()]

    def _unsound(self, override: Override) -> str:
        """What is wrong with the values that an override lists; empty for nothing."""
        try:
            list(itertools.islice(self._variants(override), 1))
        except ValueError as error:
            return f"found {override.get_value_string()}; {error}"
        return ""

    def _attempt(self, overrides: list[str]) -> DictConfig | Exception:
        """What came of composing them: once for each list."""
        key = tuple(overrides)
        if key not in self._tried:
            try:
                self._tried[key] = self.compose(overrides)
            except (HydraException, OmegaConfBaseException) as error:
                self._tried[key] = error
        return self._tried[key]

    def _explain(self, overrides: list[Override]) -> tuple[list[str], list[str]]:
        """Faults of single overrides, and the overrides that compose together.

        Choices of options come first: they decide which keys there are.
        """
        ordered = sorted(overrides, key=lambda o: not is_group(o.key_or_group, self.loader))
        faults: list[str] = []
        kept: list[str] = []
        for override in ordered:
            good = None
            for variant in self._variants(override):
                tried = self._attempt([*kept, variant])
                if isinstance(tried, Exception):
                    value, before = variant.partition("=")[2], self._attempt(kept)
                    base = None if isinstance(before, Exception) else before
                    faults.append(
                        explain_override(override, value, tried, base, self.loader, self.command)
                    )
                else:
                    good = good or variant
            if good is not None:
                kept.append(good)
        return faults, kept


def _list_of_options(override: Override, chosen: list[Any], multirun: bool) -> Fault:
    """Hydra would take the last option of a list, without a word."""
    group, found = override.key_or_group, override.input_line or ""
    sweep = f"{group}={','.join(map(str, chosen))}"
    words = f"{group}: found {found.partition('=')[2]}, a list; allowed: one option, or a sweep"
    line = (found, [sweep] if multirun else ["-m", sweep]) if chosen else None
    return Fault(f"{words} with -m {sweep}", line)


def optimizes(hydra: DictConfig) -> bool:
    """Whether a sweeper plugin chooses values; Hydra's own goes through lists."""
    return "BasicSweeper" not in str(hydra.sweeper.get("_target_"))


def _unsampled(overrides: list[Override], config: DictConfig) -> list[str]:
    """Faults of intervals where Hydra's own sweeper, which takes lists only, is chosen."""
    if optimizes(config.hydra):
        return []
    faults = []
    for override in overrides:
        sweep = override.value() if override.is_sweep_override() else None
        if isinstance(sweep, IntervalSweep):
            key = override.key_or_group
            faults.append(
                f"{key}: found {override.get_value_string()}, an interval, which a sweeper plugin "
                f"samples from (hydra/sweeper=optuna); allowed: values, {key}={sweep.start},..."
            )
    return faults


@contextmanager
def known_to_hydra(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` refer to this configuration."""
    before = HydraConfig.instance().cfg
    # As Hydra's set_config does, which copies the node first; nobody writes into it.
    OmegaConf.set_readonly(config.hydra, True)
    HydraConfig.instance().cfg = config  # type: ignore[assignment]
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


def unusable(config: DictConfig, command: str) -> list[str]:
    """Faults of options that this command cannot use."""
    found = []
    for group, choice in config.hydra.runtime.choices.items():
        if group in GROUPS and choice and not catalog.usable(group, choice, command):
            others = ", ".join(f"`lipsort {name}`" for name in commands_of(group, choice))
            found.append(
                f"{group}: found {choice}, which is for {others}; allowed: "
                + ", ".join(catalog.group_options(group, command))
            )
    return found
