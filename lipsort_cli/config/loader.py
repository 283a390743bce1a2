"""Hydra's configuration loader, which composes a choice of options once for whatever values.

Of a composition most of the time goes into the options: they are found, read, converted and merged
one after another. A sweep, a search for what is wrong with a command line and a study compose the
same options again and again, with other values; here the values are set in a copy. Of another
choice, at least the files are read already and Hydra's own options merged.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from itertools import takewhile

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import (
    CachingConfigRepository,
    ConfigRepository,
    IConfigRepository,
)
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig

_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir")
"""Keys of Hydra's own that nothing of its composition depends on."""


class Loader(ConfigLoaderImpl):
    """A loader that composes what Hydra's composes."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = _Kept(config_search_path)
        self._composed: dict[tuple[object, ...], DictConfig] = {}
        self._begun: dict[tuple[object, ...], DictConfig] = {}

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed = OverridesParser.create().parse_overrides(overrides=overrides)
        repository = _OfOne(self.repository)
        self._process_config_searchpath(config_name, parsed, repository)
        return parsed, repository

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        def compose(words: list[str]) -> DictConfig:
            return super(Loader, self)._load_configuration_impl(
                config_name, words, run_mode, from_shell, validate_sweep_overrides
            )

        parsed, repository = self._parse_overrides_and_create_caching_repo(config_name, overrides)
        if any(map(_shapes, parsed)):
            return compose(overrides)
        choices: list[str] = []
        values: list[Override] = []
        for override in parsed:
            if repository.group_exists(override.key_or_group):
                choices.append(str(override.input_line))
            else:
                values.append(override)
        key = (config_name, run_mode, *choices)
        if key not in self._composed:
            self._composed[key] = compose(choices)
        config = copy.deepcopy(self._composed[key])
        self._apply_overrides_to_config(values, config)
        _record(config.hydra, parsed)
        return config

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        if repo.get_sources() is not self.repository.get_sources():  # with hydra.searchpath
            return super()._compose_config_from_defaults_list(defaults, repo)
        own = list(takewhile(_is_hydras, defaults))
        begun = _Begun(names=tuple((one.config_path, one.package) for one in own))
        if begun.names not in self._begun:
            self._begun[begun.names] = super()._compose_config_from_defaults_list(own, repo)
        return super()._compose_config_from_defaults_list([begun, *defaults[len(own) :]], repo)

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        if isinstance(default, _Begun):
            return ConfigResult("", "", copy.deepcopy(self._begun[default.names]), {})
        assert isinstance(repo, _OfOne)
        repo.copy(str(default.config_path))
        return super()._load_single_config(default, repo)


@dataclass
class _Begun(ResultDefault):
    """What the first entries of a defaults list make, in their place."""

    names: tuple[tuple[str | None, str | None], ...] = ()


def _is_hydras(default: ResultDefault) -> bool:
    return (default.package or "").partition(".")[0] == "hydra" and not default.primary


def _shapes(override: Override) -> bool:
    """Whether more than one value depends on an override, or it is none of a single job."""
    key = override.key_or_group
    hydras = key.partition(".")[0] == "hydra" and key not in _FOLDERS
    return hydras or override.is_sweep_override() or isinstance(override.value(), dict)


def _record(hydra: DictConfig, overrides: list[Override]) -> None:
    """What Hydra keeps of the overrides and of the place that it was called from."""
    task = [override for override in overrides if not override.is_hydra_override()]
    hydra.overrides.task = [override.input_line for override in task]
    hydra.overrides.hydra = [o.input_line for o in overrides if o.is_hydra_override()]
    naming = hydra.job.config.override_dirname
    hydra.job.override_dirname = get_overrides_dirname(
        task, kv_sep=naming.kv_sep, item_sep=naming.item_sep, exclude_keys=naming.exclude_keys
    )
    hydra.runtime.cwd = os.getcwd()


class _Kept(ConfigRepository):
    """The options as they were read first."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        super().initialize_sources(config_search_path)
        self._read: dict[str, ConfigResult | None] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self._read:
            self._read[config_path] = super().load_config(config_path)
        return self._read[config_path]


class _OfOne(CachingConfigRepository):
    """Hydra's for one composition, without its copy of everything that the sources hold."""

    def __init__(self, delegate: IConfigRepository) -> None:
        self.delegate = copy.copy(delegate)
        self.cache = {}

    def copy(self, config_path: str) -> None:
        """Make what was loaded this composition's own: to merge it is to change it."""
        key = f"config_path={config_path}"
        self.cache[key] = copy.deepcopy(self.cache.get(key) or self.load_config(config_path))
