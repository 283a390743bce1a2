"""A result with the settings it is of, and what is said where it replaces one of others."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from lipsort_cli.console import say
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_json, write_json
from lipsort_cli.identity import flat
from lipsort_cli.quoting import spelled

SETTINGS = "settings"
"""Key of a result's JSON: the configuration of the command that wrote it, by dotted key."""
_SHOWN = 3
"""Settings that a message names."""


def write_result(
    path: Path, result: dict[str, Any], config: Any, elsewhere: str | None = None
) -> None:
    """Write ``result`` with the settings of ``config``, and say whose it replaces.

    ``elsewhere``: what is typed for another folder, where that is not ``hydra.run.dir``.
    """
    settings = flat(config)
    replaced = _replaced(path, settings)
    write_json(path, result | {SETTINGS: settings})
    if replaced:
        say(f"replaced: {path.name} of {replaced}; {elsewhere or spelled()} would keep both")


def _replaced(path: Path, settings: dict[str, Any]) -> str:
    """What the result at ``path`` was of that this one is not; empty where there is no such."""
    with suppress(LipsortError):
        held = read_json(path)
        earlier = held.get(SETTINGS) if isinstance(held, dict) else None
        if not isinstance(earlier, dict):
            return "an earlier call"
        keys = [k for k in sorted({**earlier, **settings}) if earlier.get(k) != settings.get(k)]
        words = [f"{key}={_shown(earlier, key)} (now {_shown(settings, key)})" for key in keys]
        more = f" and {len(words) - _SHOWN} other settings" if len(words) > _SHOWN else ""
        return ", ".join(words[:_SHOWN]) + more
    return ""


def _shown(settings: dict[str, Any], key: str) -> str:
    value = settings.get(key)
    return "null" if value is None else str(value)
