"""The dataclasses of :mod:`lipsort_cli.config.schema` as Hydra sees them.

An option ``<group>/<option>`` is there without any file, and so is the primary configuration of a
command that has no groups; a file of ``conf/`` or of ``--config-dir`` with the same name comes
first. A file of one's own starts from ``<option>`` of the same group or from
``/schema/<group>/<option>@_here_``, a primary one from ``schema/command/<command>@_here_``. That
makes every node typed: an unknown key or a wrong type is refused as the configuration is composed.
"""

from __future__ import annotations

from typing import Any

from hydra._internal.core_plugins.structured_config_source import StructuredConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lipsort_cli.config.registry import Command
from lipsort_cli.config.schema import COMMANDS, GROUPS


class OptionStore(ConfigStore):
    """A store beside Hydra's own, which takes a name in both a file and itself for a mistake."""


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
    """Make every node known to Hydra; what it knows already is left as it is."""
    for plugin in (OptionSource, OptionPath):
        Plugins.instance().register(plugin)
    typed, found = ConfigStore.instance(), OptionStore()
    # Hydra copies its stores at every composition, though all that is loaded is copied anyway.
    for store in (typed, found):
        setattr(store, "__deepcopy__", lambda memo, store=store: store)  # noqa: B010
    for command in COMMANDS.values():
        if _is_new("command", command.key, command.config):
            typed.store(group="schema/command", name=command.key, node=command.config)
            found.store(name=command.key, node=_primary(command))
    for group, options in GROUPS.items():
        for option, node in options.items():
            if not _is_new(group, option, node):
                continue
            typed.store(group=f"schema/{group}", name=option, node=node)
            if option == node.name:  # type: ignore[attr-defined]
                found.store(group=group, name=option, node=node)


_KNOWN: dict[tuple[str, str], type] = {}


def _is_new(group: str, name: str, node: type) -> bool:
    """Whether Hydra does not have this node yet: to hand one over takes a millisecond."""
    before = _KNOWN.get((group, name))
    _KNOWN[group, name] = node
    return before is not node


def _primary(command: Command) -> dict[str, Any]:
    """The primary configuration of a command that has no groups of its own."""
    hydra: dict[str, Any] = {"job": {"name": command.name}}
    if command.takes:
        # Results belong to the run they are about; a sweep writes into folders of its own.
        hydra |= {"run": {"dir": "${run}"}, "output_subdir": f".hydra-{command.name}"}
    schema = f"schema/command/{command.key}@_here_"
    return {"defaults": ["base", schema, "_self_"], "hydra": hydra}
