"""``resume=RUN``: go on with a run exactly as it was begun.

The configuration is the one that the run saved of itself, not one composed anew: files of
``conf/`` may have changed since. Only what cannot change the result may be given anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli import runs
from lipsort_cli.cli.arguments import path_of
from lipsort_cli.config.registry import Command
from lipsort_cli.config.typed import from_plain, to_typed
from lipsort_cli.console import console, warn
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import paths_from, read_yaml, resolved
from lipsort_cli.identity import CHANGEABLE

ROUNDING = ("device", "threads")
"""Those of them that change the order of sums, and so the last bits of the weights."""


def split(overrides: list[str]) -> tuple[str | None, list[str]]:
    """The directory that ``resume=`` names, if it is there, and all other overrides."""
    values = [path_of(text) for text in overrides if text.startswith("resume=")]
    others = [text for text in overrides if not text.startswith("resume=")]
    if len(values) > 1:
        raise UsageError(f"resume: found {' and '.join(values)}; allowed: one run directory")
    value = values[0] if values else "null"
    return (None if value == "null" else value), others


def run(
    command: Command,
    target: str,
    others: list[str],
    *,
    show: bool,
    execute: Callable[[Command, Any, Path], None],
    apart: Path | None = None,
) -> None:
    """Resume the run in ``target``; with ``show``, print its configuration instead.

    ``apart``: where this process works, if it only helps the one that resumes the run.

    Raises:
        UsageError: it is no run of this command, it still runs, or an override would change it.
    """
    directory = resolved(target)
    if not directory.is_dir():
        raise UsageError(f"resume: found {target}, which is no directory")
    if not (directory / runs.RECORD).is_file():
        raise UsageError(
            f"resume: found {target}, which is no run directory: it holds no {runs.RECORD}"
        )
    try:
        record = runs.read_record(directory)
    except LipsortError as error:
        raise UsageError(f"resume: {error}") from error
    if record["command"] != command.name:
        raise UsageError(
            f"resume: found {target}, a run of `lipsort {record['command']}`; "
            f"allowed: a run of `lipsort {command.name}`"
        )
    config = _saved(directory, command)
    _adjust(config, others)
    if any(text.partition("=")[0] in ROUNDING for text in others):
        warn(
            "another device or number of threads sums in another order: "
            "the weights may differ in their last bits from those of an uninterrupted run"
        )
    config.resume = str(directory.resolve())
    if show:
        console.print(OmegaConf.to_yaml(config), markup=False, end="")
        return
    typed = to_typed(config, command.name)
    with paths_from(runs.started_in(directory)):
        execute(command, typed, directory.resolve() if apart is None else apart)


def _saved(directory: Path, command: Command) -> DictConfig:
    path = directory / ".hydra" / "config.yaml"
    try:
        return from_plain(read_yaml(path), command.name)
    except LipsortError as error:
        raise UsageError(f"resume: {error}; so the run cannot be gone on with") from error


def _adjust(config: DictConfig, others: list[str]) -> None:
    for text in others:
        key, _, value = text.partition("=")
        if key not in CHANGEABLE:
            raise UsageError(
                f"{key}: found together with resume=; allowed there: {', '.join(CHANGEABLE)}; "
                "a run is finished as it was begun"
            )
        try:
            OmegaConf.update(config, key, value)
        except OmegaConfBaseException as error:
            raise UsageError(f"{key}: found {value}; {str(error).splitlines()[0]}") from error
