"""The dataclasses of :mod:`lipsort_cli.config.schema` as Hydra sees them.

An option ``<group>/<option>`` is there without any file, and so is the primary configuration of a
command that has no groups; a file of ``conf/`` or of ``--config-dir`` with the same name comes
first. A file of one's own starts from ``<option>`` of the same group or from
``/schema/<group>/<option>@_here_``, a primary one from ``schema/command/<command>@_here_``. That
makes every node typed: an unknown key or a wrong type is refused as the configuration is composed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from hydra._internal.core_plugins.structured_config_source import StructuredConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from lipsort_cli.config.registry import Command
from lipsort_cli.config.schema import COMMANDS, GROUPS


class OptionStore(ConfigStore):
    """A store beside Hydra's own, which takes a name in both a file and itself for a mistake.

    A node is made when it is asked for: making all of them would take longer than all the rest.
    """

    def fill(self) -> None:
        """Take up what the tables hold now."""
        schema: dict[str, Any] = {"command": {}}
        self.repo = {"schema": schema}
        for command in COMMANDS.values():
            schema["command"][f"{command.key}.yaml"] = command.config
            self.repo[f"{command.key}.yaml"] = partial(_primary, command)
        for group, options in GROUPS.items():
            schema[group] = {f"{option}.yaml": node for option, node in options.items()}
            # Presets are files, which come first.
            self.repo[group] = {k: n for k, n in schema[group].items() if k == f"{n.name}.yaml"}

    def __deepcopy__(self, memo: Any) -> OptionStore:
        return self  # Hydra copies its stores at every composition; what is loaded is made anew

    def load(self, config_path: str) -> ConfigNode:
        """The node at a path of Hydra's, made anew."""
        made = OmegaConf.structured(self._open(config_path)())
        return ConfigNode(config_path, made, None, None, None)


class OptionSource(StructuredConfigSource):
    """Options and primary configurations, searched after all files."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self.store = OptionStore()

    @staticmethod
    def scheme() -> str:
        """Of its entry in Hydra's search path."""
        return "lipsort"


class OptionPath(SearchPathPlugin):
    """Puts the options into Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """As Hydra calls it."""
        search_path.append(provider="lipsort", path="lipsort://")


def register() -> None:
    """Make every node known to Hydra; registering twice changes nothing."""
    for plugin in (OptionSource, OptionPath):
        Plugins.instance().register(plugin)
    OptionStore().fill()


def _primary(command: Command) -> dict[str, Any]:
    """The primary configuration of a command that has no groups of its own."""
    hydra: dict[str, Any] = {"job": {"name": command.name}}
    if command.takes:
        # Results belong to the run they are about; a sweep writes into folders of its own.
        hydra |= {"run": {"dir": "${run}"}, "output_subdir": f".hydra-{command.name}"}
    schema = f"schema/command/{command.key}@_here_"
    return {"defaults": ["base", schema, "_self_"], "hydra": hydra}
