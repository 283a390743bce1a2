"""The dataclasses of :mod:`lipsort_cli.config.schema` as Hydra's ConfigStore wants them.

A primary file ``conf/<command>.yaml`` starts from ``schema/command/<command>@_here_``, an option
``conf/<group>/<option>.yaml`` from ``/schema/<group>/<option>@_here_``. That makes every node
typed: an unknown key or a wrong type is refused as the configuration is composed.
"""

from __future__ import annotations

from lipsort_cli.config.schema import COMMANDS, GROUPS


def register() -> None:
    """Put every node into the ConfigStore; registering twice changes nothing."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    for command, node in COMMANDS.items():
        store.store(group="schema/command", name=config_name(command), node=node)
    for group, options in GROUPS.items():
        for option, node in options.items():
            store.store(group=f"schema/{group}", name=option, node=node)


def config_name(command: str) -> str:
    """Name of a command's primary configuration and module: its name with underscores."""
    return command.replace("-", "_")


def config_class(command: str) -> type:
    """The dataclass of a command, under either spelling of its name in ``COMMANDS``."""
    return COMMANDS[command if command in COMMANDS else config_name(command)]
