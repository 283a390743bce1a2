"""``resume=RUN``: go on with a run, or with ``-m`` a sweep, exactly as it was begun.

The configuration is the one that the run saved of itself, not one composed anew: files of
``conf/`` may have changed since. Only what cannot change the result may be given anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from os.path import exists, isdir, isfile
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli import runs
from lipsort_cli.cli.arguments import path_of
from lipsort_cli.cli.job import MOVED
from lipsort_cli.config import catalog
from lipsort_cli.config.registry import Command
from lipsort_cli.config.typed import from_plain, settle_paths, to_typed
from lipsort_cli.console import console, say, warn
from lipsort_cli.errors import Interrupted, LipsortError, UsageError, first_line
from lipsort_cli.files import paths_from, read_yaml, resolved, write_atomic
from lipsort_cli.identity import CHANGEABLE, PLACES
from lipsort_cli.quoting import folder_given_by, quoted

SWEEP = "multirun.yaml"
"""What Hydra writes into the folder of a sweep."""

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
    if not isdir(directory):
        raise UsageError(f"resume: found {target}, which is no directory")
    if not isfile(directory / runs.RECORD):
        said, word = f"resume: found {target}, which is", f"resume={target}"
        if isfile(directory / SWEEP):
            raise UsageError(f"{said} a sweep; allowed: with -m", ((word, ["-m", word]),))
        raise UsageError(f"{said} no run directory: it holds no {runs.RECORD}")
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
    settle_paths(config, runs.started_in(directory) or Path.cwd())
    _adjust(command, config, others)
    settle_paths(config, Path.cwd())
    if any(text.partition("=")[0] in ROUNDING for text in others):
        warn(
            "another device or number of threads sums in another order: "
            "the weights may differ in their last bits from those of an uninterrupted run"
        )
    config.resume = str(directory.resolve())
    if show:
        console.print(OmegaConf.to_yaml(config), end="")
        return
    typed = to_typed(config, command.name)
    anew = others if apart is None else []
    try:
        with paths_from(runs.started_in(directory)), folder_given_by("a copy: resume=COPY"):
            execute(command, typed, directory.resolve() if apart is None else apart)
    except (KeyboardInterrupt, Interrupted):
        _remember(directory, config, anew)
        raise
    _remember(directory, config, anew)


def _remember(directory: Path, config: DictConfig, others: list[str]) -> None:
    """Keep what was given anew and counts from now on: the place of the data, the trials."""
    path = directory / ".hydra" / "config.yaml"
    kept = {*PLACES, "moved", "trials"}
    for key in {text.partition("=")[0].lstrip("+") for text in others} & kept:
        value = OmegaConf.select(config, key)
        if key not in PLACES or exists(str(value)):
            saved = OmegaConf.create(read_yaml(path))
            OmegaConf.update(saved, key, value)
            write_atomic(path, OmegaConf.to_yaml(saved))
            say(f"{path}: {key} is {value} from now on")


@contextmanager
def sweep(command: Command, target: str, others: list[str]) -> Iterator[list[str]]:
    """The overrides of the sweep in ``target``, for its jobs to be gone on with where they lie.

    Jobs that are finished are kept, as an equal sweep into the same folder keeps them. Meanwhile
    the working directory is that of the first start, which relative paths were given from.

    Raises:
        UsageError: it is no sweep of this command, or an override would change it.
    """
    folder = resolved(target).resolve()
    path = folder / SWEEP
    if not exists(path):
        raise UsageError(
            f"resume: found {target}, which is no folder of a sweep: it holds no {path.name}"
        )
    try:
        hydra = OmegaConf.create(read_yaml(path)).hydra
        name, given = hydra.job.name, [*hydra.overrides.hydra, *hydra.overrides.task]
        started = Path(hydra.runtime.cwd)
    except Exception as error:  # whatever a damaged YAML file makes the parser raise
        raise UsageError(f"resume: {path} is damaged ({first_line(error)})") from error
    if name != command.name:
        raise UsageError(
            f"resume: found {target}, a sweep of `lipsort {name}`; "
            f"allowed: a sweep of `lipsort {command.name}`"
        )
    _allowed(command, others)
    if not started.is_dir():
        raise UsageError(f"resume: {started} is missing, where the sweep was started")
    anew = tuple(f"{text.partition('=')[0]}=" for text in others)
    ours = ("hydra.mode=", "hydra.sweep.dir=", "hydra.output_subdir=null", MOVED, *anew)
    kept = [text for text in map(str, given) if not text.startswith(ours)]
    if any(text.startswith(tuple(f"{key}=" for key in PLACES)) for text in others):
        kept.append(MOVED)
    with chdir(started):
        yield [*kept, f"hydra.sweep.dir={quoted(str(folder))}", *others]


def _saved(directory: Path, command: Command) -> DictConfig:
    path = directory / ".hydra" / "config.yaml"
    try:
        return from_plain(read_yaml(path), command.name)
    except LipsortError as error:
        raise UsageError(f"resume: {error}; so the run cannot be gone on with") from error


def _allowed(command: Command, others: list[str]) -> None:
    known = {key.name for key in catalog.all_keys(command.name)}
    allowed = [key for key in CHANGEABLE if key in known]
    for text in others:
        key = text.partition("=")[0]
        if key not in allowed:
            raise UsageError(
                f"{key}: found together with resume=; allowed there: {', '.join(allowed)}; "
                "a run is finished as it was begun"
            )


def _adjust(command: Command, config: DictConfig, others: list[str]) -> None:
    _allowed(command, others)
    for text in others:
        key, _, value = text.partition("=")
        try:
            listed = value.startswith("[")
            found = OverridesParser.create().parse_override(text).value() if listed else value
            OmegaConf.update(config, key, found)
        except (HydraException, OmegaConfBaseException) as error:
            raise UsageError(f"{key}: found {value}; {first_line(error)}") from error
