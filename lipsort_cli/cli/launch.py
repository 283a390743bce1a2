"""From the arguments after a command to its ``run(config, directory)``, through Hydra.

The whole of Hydra stays available: overrides, ``-m``, launchers, ``--cfg``, ``--info``,
``hydra.run.dir=``. Added before it: a RUN argument, ``resume=RUN``, and a check of the whole
configuration before any directory is made. Hydra is imported here, so import this late.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli import runs
from lipsort_cli.cli import resume, workers
from lipsort_cli.cli.arguments import quoted, with_runs
from lipsort_cli.cli.undo import undone_unless_finished
from lipsort_cli.config import validate
from lipsort_cli.config.compose import Composer, resolved_run_directory
from lipsort_cli.config.registry import Command
from lipsort_cli.config.tree import config_root
from lipsort_cli.config.typed import to_typed
from lipsort_cli.console import console, warn
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.processes import Place, place, stop_signals


class Task:
    """What Hydra calls with the composed configuration; an object, so that launchers pickle it.

    In this process, errors are kept for the end instead of raised: the other jobs of a sweep run
    all the same, and Hydra has nothing to print of its own. A copy in another process raises,
    because only that reaches us from there.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self.errors: list[Exception] = []
        self._local = True

    def __getstate__(self) -> dict[str, Any]:
        return {"command": self.command, "errors": [], "_local": False}

    def __call__(self, config: DictConfig) -> None:
        """Check the configuration of this job once more, and run it."""
        try:
            self._run(config)
        except Exception as error:
            if not self._local:
                raise
            if isinstance(error, Interrupted):
                # Only this passes through Hydra, and ends a sweep.
                self.errors.insert(0, error)
                raise KeyboardInterrupt from error
            if self.errors or HydraConfig.get().mode == RunMode.MULTIRUN:
                warn(f"job {HydraConfig.get().job.num}: {error}")
            self.errors.append(error)

    def _run(self, config: DictConfig) -> None:
        state = HydraConfig.get()
        directory = Path(state.runtime.output_dir)
        typed = to_typed(config, self.command.name)
        if state.mode == RunMode.MULTIRUN:
            label = " ".join(state.overrides.task) or "defaults"
            console.print(f"Job {state.job.num}: {label}", markup=False, style="bold")
        execute(self.command, typed, directory)


def execute(command: Command, typed: Any, directory: Path) -> None:
    """Import the command and run it; a termination signal counts as Ctrl-C.

    The directory is locked meanwhile. One that a run of another configuration lies in is refused;
    a run that is finished is left as it is.
    """
    for warning in validate.warnings(typed):
        warn(warning)
    try:
        with _terminating(), _claimed(command, typed, directory) as standing:
            if standing == "finished":
                message = f"{directory} is finished already; nothing to do."
                console.print(message, markup=False, soft_wrap=True)
                return
            importlib.import_module(command.module).run(typed, directory)
    except KeyboardInterrupt as error:
        if command.takes or not (directory / runs.RECORD).is_file():
            raise
        raise Interrupted(
            f"interrupted at once; continue from the last checkpoint with "
            f"`lipsort {command.name} resume={directory}`"
        ) from error


def _claimed(command: Command, typed: Any, directory: Path) -> AbstractContextManager[str | None]:
    """The lock of a run's directory, and how the run stands; other commands only work there."""
    if command.takes or command.many:
        return runs.locked(directory)
    return runs.claimed(directory, command.name, typed)


def launch(command: Command, arguments: list[str]) -> None:
    """Run ``lipsort COMMAND ARGUMENTS...``.

    Raises:
        UsageError: the command line or the configuration is wrong; nothing was written.
        LipsortError: anything else that the user can act on.
    """
    where = place()
    with workers.apart(where) as folder:
        _launch(command, arguments, where, folder)


def _launch(command: Command, arguments: list[str], where: Place, folder: Path | None) -> None:
    options = _parse(arguments)
    workers.check(command, options.multirun, where)
    overrides = with_runs(command, list(options.overrides), _is_query(options))
    target, others = resume.split(overrides)
    if target is not None and not command.takes:
        if options.multirun:
            raise UsageError("resume: found with -m; allowed: one run at a time, without -m")
        show = options.cfg is not None
        resume.run(command, target, others, show=show, execute=execute, apart=folder)
        return
    if folder is not None:
        overrides += [f"hydra.run.dir={quoted(str(folder))}", "hydra.output_subdir=null"]
    if options.config_path is not None:
        options.config_path = str(Path(options.config_path).absolute())
    # Only what runs must be sound throughout; a query shows whatever can be composed.
    saved = None
    if not (options.hydra_help or options.shell_completion or options.experimental_rerun):
        saved = _check(command, options, overrides)
    with undone_unless_finished(saved):
        _hydra(command, options, overrides)


def _is_query(options: argparse.Namespace) -> bool:
    """Whether the arguments ask Hydra for information instead of a run."""
    return bool(options.cfg or options.info or options.hydra_help or options.shell_completion)


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Hydra's own arguments; overrides may stand before, between and after its flags."""
    parser = get_args_parser()

    def refuse(message: str) -> None:
        raise UsageError(f"{message}; see `lipsort --help`")

    parser.error = refuse  # type: ignore[assignment, method-assign]
    return parser.parse_intermixed_args(arguments)


def _check(command: Command, options: argparse.Namespace, overrides: list[str]) -> Path | None:
    """All faults, before anything is written.

    Returns where Hydra saves the configuration of a command that works in another's directory.
    """
    with Composer(
        command.name,
        name=options.config_name,
        path=Path(options.config_path) if options.config_path else None,
        extra=Path(options.config_dir).absolute() if options.config_dir else None,
    ) as composer:
        config = composer.check(overrides, multirun=options.multirun, ranges=not _is_query(options))
        multirun = options.multirun or config.hydra.mode == RunMode.MULTIRUN
        if _is_query(options) or multirun:
            return None
        directory = resolved_run_directory(config)
        if command.takes:
            name = config.hydra.output_subdir
            return None if directory is None or name is None else directory / str(name)
        if directory is not None and (directory / runs.RECORD).exists():
            raise UsageError(
                f"hydra.run.dir: found {directory}, which holds a run already; choose another "
                f"folder, or continue that run with resume={directory}"
            )
    return None


def _hydra(command: Command, options: argparse.Namespace, overrides: list[str]) -> None:
    """Hand over to Hydra's main with an argv that it parses without surprises."""
    argv, debug = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *_flags(options), *overrides]
    # Otherwise Hydra prints errors itself, and ends the process with exit code 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    task = Task(command)
    try:
        hydra.main(
            version_base="1.3",
            config_path=str(config_root()),
            config_name=command.key,
        )(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(str(error).strip()) from error
    except OSError as error:  # of Hydra itself, which makes the run directory
        raise runs.write_error(Path(str(error.filename or "the run directory")), error) from error
    except KeyboardInterrupt:
        if not task.errors:
            raise
    finally:
        sys.argv = argv
        if debug is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = debug
    if task.errors:
        first = task.errors[0]
        raise _as_message(first) if isinstance(first, OSError) else first


def _as_message(error: OSError) -> LipsortError:
    """A file of a command's own that could not be read or written, as a message."""
    if error.filename is None:
        return LipsortError(str(error.strerror or error))
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return runs.write_error(Path(str(error.filename)), error)
    return LipsortError(f"{error.filename}: {error.strerror or error}")


def _flags(options: argparse.Namespace) -> list[str]:
    """The parsed flags of Hydra, spelled out again."""
    flags = []
    for name, value in vars(options).items():
        if name == "overrides" or value is None or value is False:
            continue
        flag = f"--{name.replace('_', '-')}"
        # With `=`, an optional value cannot swallow the override that follows.
        flags.append(flag if value is True else f"{flag}={value}")
    return flags


@contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM and a hang-up interrupt as Ctrl-C does: a stopped job leaves a resumable run."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before: dict[int, Any] = {}
    with suppress(ValueError):  # not in the main thread: a launcher's worker
        for number in stop_signals():
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
