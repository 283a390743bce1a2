"""Every option and every command, defined: importing this fills the tables of the registry.

A group's options and the commands are dataclasses in the modules of this folder; their ranges are
in the fields' metadata (:mod:`lipsort_cli.config.options`), rules between fields are their methods
``faults`` and ``warnings``. Every module here is imported but those that work on the tables.
"""

from __future__ import annotations

import importlib
import pkgutil

from lipsort_cli import config
from lipsort_cli.config import plugins
from lipsort_cli.config.registry import COMMANDS, GROUPS, Command, option_of

__all__ = ["COMMANDS", "GROUPS", "Command", "find", "option_of"]

_NO_OPTIONS = (
    *("catalog", "compose", "explain", "loader", "meant", "options", "plugins", "registry"),
    *("schema", "store", "tree", "typed", "validate"),
)

for _module in pkgutil.iter_modules(config.__path__):
    if _module.name not in _NO_OPTIONS:
        importlib.import_module(f"{config.__name__}.{_module.name}")

plugins.load_installed()

# Those that make runs first, then those that work on them.
for _name in sorted(COMMANDS, key=lambda name: bool(COMMANDS[name].takes or COMMANDS[name].many)):
    COMMANDS[_name] = COMMANDS.pop(_name)


def find(name: str) -> Command | None:
    """The command that a name or alias stands for."""
    return next((c for c in COMMANDS.values() if name in (c.name, *c.aliases)), None)
