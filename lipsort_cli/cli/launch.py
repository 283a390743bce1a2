"""From the arguments after a command to its ``run(config, directory)``, through Hydra.

The whole of Hydra stays available: overrides, ``-m``, launchers, ``--cfg``, ``--info``,
``hydra.run.dir=``. Added before it: a RUN argument, ``resume=RUN``, and a check of the whole
configuration before any directory is made. A single run is composed once, here; Hydra's main is
for sweeps and for questions. Hydra is imported here, so import this late.
"""

from __future__ import annotations

import argparse
import errno
import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.utils import env_override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli import finding, runs
from lipsort_cli.cli import job, resume, tuning, words, workers
from lipsort_cli.cli.arguments import with_runs
from lipsort_cli.cli.sweeps import broken_off, go_on, left_on_a_signal
from lipsort_cli.config import plugins
from lipsort_cli.config.compose import Composer, known_to_hydra
from lipsort_cli.config.registry import Command
from lipsort_cli.config.tree import config_root
from lipsort_cli.config.typed import to_typed
from lipsort_cli.console import command_line
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import too_long, write_error
from lipsort_cli.identity import described, digest
from lipsort_cli.processes import Place, place
from lipsort_cli.quoting import folder_given_by, quoted


def launch(command: Command, arguments: list[str]) -> None:
    """Run ``lipsort COMMAND ARGUMENTS...``.

    Raises:
        UsageError: the command line or the configuration is wrong; nothing was written.
        LipsortError: anything else that the user can act on.
    """
    where = place()
    with workers.apart(where) as folder:
        try:
            _launch(command, arguments, where, folder)
        except UsageError as error:
            raise words.with_line(error, command, arguments) from error


def _launch(command: Command, arguments: list[str], where: Place, folder: Path | None) -> None:
    plugins.load(plugins.named(arguments))
    words.check(command, arguments, get_args_parser())
    options = _parse(arguments)
    workers.check(command, options.multirun, where)
    if command.name == "tune":
        if options.multirun:
            raise UsageError("-m: found with tune, which is a search itself; leave it out")
        options.overrides = tuning.with_command(options.overrides)
    overrides = with_runs(command, list(options.overrides), _is_query(options))
    target, others = resume.split(overrides)
    words.once(others)
    if target is not None and not command.takes:
        if options.multirun:
            with resume.sweep(command, target, others) as again:
                _composed(command, options, again)
            return
        show = options.cfg is not None
        resume.run(command, target, others, show=show, execute=job.execute, apart=folder)
        return
    if folder is not None:
        overrides += [f"hydra.run.dir={quoted(str(folder))}", "hydra.output_subdir=null"]
    if options.config_path is not None:
        options.config_path = str(Path(options.config_path).absolute())
    _composed(command, options, overrides)


def _composed(command: Command, options: argparse.Namespace, overrides: list[str]) -> None:
    """Do what is asked with a configuration that is composed from ``overrides``."""
    try:
        if options.hydra_help or options.shell_completion or options.experimental_rerun:
            _hydra(command, options, overrides)
            return
        config = _check(command, options, overrides)
        if _is_query(options):
            _hydra(command, options, overrides)
        elif options.multirun or config.hydra.mode == RunMode.MULTIRUN:
            finding.usable_folder("hydra.sweep.dir", str(config.hydra.sweep.dir or ""))
            # What Hydra would save of each job is saved when the job has been let in.
            saved = config.hydra.output_subdir
            with (
                left_on_a_signal(command, str(config.hydra.launcher.get("_target_"))),
                folder_given_by("hydra.sweep.dir=FOLDER"),
            ):
                _hydra(command, options, [*overrides, "hydra.output_subdir=null"], saved)
        else:
            _single(command, config)
    except OSError as error:
        raise as_message(error) from error


def _is_query(options: argparse.Namespace) -> bool:
    """Whether the arguments ask Hydra for information instead of a run."""
    return bool(options.cfg or options.info or options.hydra_help or options.shell_completion)


_MODES = ("run", "multirun", "cfg", "info", "hydra_help", "shell_completion")
"""Flags of Hydra that say what is to be done."""


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Hydra's own arguments; overrides may stand before, between and after its flags."""
    parser = get_args_parser()

    def refuse(message: str) -> None:
        raise UsageError(f"{message}; see `lipsort --help`")

    parser.error = refuse  # type: ignore[assignment, method-assign]
    options = parser.parse_intermixed_args(arguments)
    modes = [name for name in _MODES if getattr(options, name)]
    if len(modes) > 1:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in modes)
        raise UsageError(f"found {flags}; allowed: one of them at a time")
    return options


def _check(command: Command, options: argparse.Namespace, overrides: list[str]) -> DictConfig:
    """The composed configuration; all faults together, before anything is written.

    Only what runs must be sound throughout; a query shows whatever can be composed.
    """
    with Composer(
        command.name,
        name=options.config_name,
        path=Path(options.config_path) if options.config_path else None,
        extra=Path(options.config_dir).absolute() if options.config_dir else None,
    ) as composer:
        return composer.check(overrides, multirun=options.multirun, ranges=not _is_query(options))


def _single(command: Command, config: DictConfig) -> None:
    """A single run, of the configuration that has been checked."""
    directory = job.directory_of(config)
    if command.name == "tune":
        tuning.require_searchable(config)
    if command.continued:
        directory = _unfinished(command, config) or directory
    elif not command.takes and (directory / runs.RECORD).exists():
        raise UsageError(
            f"hydra.run.dir: found {directory}, which holds a run already; choose another "
            f"folder, or continue that run with {command_line(('resume', directory))}"
        )
    job.single(command, config, directory)


def _unfinished(command: Command, config: DictConfig) -> Path | None:
    """The unfinished run of the same command line, where no folder is given."""
    if any(str(word).startswith("hydra.run.dir=") for word in config.hydra.overrides.hydra):
        return None
    with known_to_hydra(config):
        wanted = digest(described(to_typed(config, command.name)))
    return finding.unfinished(command.name, wanted)


def _hydra(
    command: Command, options: argparse.Namespace, overrides: list[str], saved: str | None = None
) -> None:
    """Hand over to Hydra's main with an argv that it parses without surprises."""
    argv = sys.argv
    sys.argv = [argv[0], *_flags(options), *overrides]
    task, tree = job.SweepTask(command, saved), str(config_root())
    try:
        # Otherwise Hydra prints errors itself, and ends the process with exit code 1.
        with env_override({"HYDRA_FULL_ERROR": "1"}):
            hydra.main(version_base="1.3", config_path=tree, config_name=command.key)(task)()
    except KeyboardInterrupt as error:
        if not task.errors:
            raise Interrupted(f"interrupted{go_on(command)}") from error
    except OSError as error:  # of Hydra itself, which makes the sweep's directory
        raise write_error(Path(str(error.filename or "the run directory")), error) from error
    except Exception as error:
        if not task.errors:
            if failed := job.failed_in(error):
                broken_off(failed)
            raise _of_hydra(error) from error
    finally:
        sys.argv = argv
    if task.errors:
        for other in task.errors[1:]:
            job.show_defect(other)
        raise task.errors[0]


def _of_hydra(error: Exception) -> Exception:
    """An error that came through Hydra: its own and its plugins' as a message, ours as it is."""
    if isinstance(error, LipsortError) or job.failed_in(error):
        return error
    words = str(error).strip() or type(error).__name__
    if isinstance(error, HydraException | OmegaConfBaseException):
        return UsageError(words)
    return UsageError(f"Hydra or one of its plugins ended with {type(error).__name__}: {words}")


def as_message(error: OSError) -> LipsortError:
    """A file of a command's own that could not be read or written, as a message."""
    if error.filename is None:
        return LipsortError(str(error.strerror or error))
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return write_error(Path(str(error.filename)), error)
    if error.errno == errno.ENAMETOOLONG:  # no file can be called so: a word is wrong
        return too_long(str(error.filename))
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
