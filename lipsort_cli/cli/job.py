"""One job: a composed configuration carried out in its directory, alone or within a sweep.

What Hydra saves of a job, its ``.hydra``, is saved here, once the job is known not to be refused:
when its record is begun, or at its end where the command keeps no record.
"""

from __future__ import annotations

import copy
import importlib
import os
import signal
import traceback
from contextlib import AbstractContextManager, chdir, nullcontext
from pathlib import Path
from typing import Any, cast

from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli import finding, runs
from lipsort_cli.cli import objective, workers
from lipsort_cli.cli.sweeps import Farewell
from lipsort_cli.config import plugins, validate
from lipsort_cli.config.catalog import presets_for
from lipsort_cli.config.compose import known_to_hydra, optimizes
from lipsort_cli.config.registry import Command
from lipsort_cli.config.typed import settle_paths, to_typed, without_hydra
from lipsort_cli.console import command_line, console, located, warn
from lipsort_cli.errors import Interrupted, LipsortError, UsageError, first_line
from lipsort_cli.files import paths_from, write_atomic
from lipsort_cli.identity import locked
from lipsort_cli.processes import (
    collect_garbage,
    ending_with,
    keep_memory,
    on_stop_signals,
    stopping_later,
)

MOVED = "++hydra.job.env_set.LIPSORT_MOVED=1"
"""The override that tells jobs of a sweep that is resumed, in any process, that their data have
moved: those that are finished are kept all the same."""

Saved = dict[str, str]
"""Files by their path in the run directory."""


def single(command: Command, config: DictConfig, directory: Path) -> Any:
    """A run that is no sweep, from a configuration composed with its ``hydra`` node.

    As Hydra would carry it out, with its callbacks, environment and logging. Returns the objective.
    """
    directory, hydra = directory.absolute(), config.hydra
    # Before torch is imported: a second passes until anything else can be said.
    what = "Run" if command.takes else "Run directory"
    console.print(f"{what}: {located(directory)}", soft_wrap=True)
    presets = presets_for(command.name, hydra.runtime.choices)
    if presets:
        console.print("Tuned for this data: " + ", ".join(f"experiment={p}" for p in presets))
    with flag_override(hydra, ["readonly", "struct"], [False, False]):
        hydra.mode = RunMode.RUN
        hydra.runtime.output_dir = str(directory)
    callbacks = Callbacks(config)
    own, of_hydra = without_hydra(config), _of_hydra(hydra)
    done = JobReturn(cfg=own, hydra_cfg=of_hydra, overrides=_overrides(hydra))
    with known_to_hydra(config):
        callbacks.on_run_start(config=config, config_name=hydra.job.config_name)
        configure_log(hydra.job_logging, hydra.verbose)
        if hydra.job.chdir:
            directory.mkdir(parents=True, exist_ok=True)
        inside = chdir(directory) if hydra.job.chdir else nullcontext()
        with inside, env_override(hydra.job.env_set):
            # Callbacks may look at the task, not run it.
            callbacks.on_job_start(config=config, task_function=lambda _: None)
            try:
                done.return_value = carry_out(command, config, hydra, directory)
                done.status = JobStatus.COMPLETED
            except Exception as error:
                done.return_value, done.status = error, JobStatus.FAILED
                raise
            finally:
                callbacks.on_job_end(config=config, job_return=done)
                callbacks.on_run_end(
                    config=config, config_name=hydra.job.config_name, job_return=done
                )
    return done.return_value


def carry_out(
    command: Command,
    config: DictConfig,
    hydra: DictConfig,
    directory: Path,
    subdir: str | None = None,
) -> Any:
    """Check, claim, run and save one job. Returns its objective.

    ``subdir``: where its configuration is saved, if ``hydra.output_subdir`` does not say so.
    """
    settle_paths(config, Path(hydra.runtime.cwd))
    plugins.load(config.get("plugins"))  # in a process of a launcher's
    typed = to_typed(config, command.name)
    folder = subdir or hydra.output_subdir
    files = _files(config, hydra, folder) if folder else {}
    if "LIPSORT_MOVED" in hydra.job.env_set and hasattr(typed, "resume"):
        typed.resume = str(directory)
    with paths_from(Path(hydra.runtime.cwd)):
        return execute(command, typed, directory, files, optimizes(hydra))


@plugins.blamed()
def execute(
    command: Command,
    typed: Any,
    directory: Path,
    files: Saved | None = None,
    optimized: bool = False,
) -> Any:
    """Import the command and run it; a termination signal counts as Ctrl-C. The objective.

    The directory is locked meanwhile. One that a run of another configuration lies in is refused;
    a run that is finished is left as it is. ``files`` are saved as the run begins. ``optimized``: a
    sweeper chooses by the objective.
    """
    keep_memory()
    objective.check(command, typed, optimized)
    for warning in validate.warnings(typed):
        warn(warning)

    def save() -> None:
        while files:
            name, text = files.popitem()
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(directory / name, text)

    try:
        # SIGTERM and a hang-up do as Ctrl-C does: a stopped job leaves a resumable run.
        stoppable = on_stop_signals(signal.default_int_handler)
        with stoppable, _claimed(command, typed, directory) as standing:
            if standing == "finished" and not command.continued:
                message = f"{located(directory)} is finished already; nothing to do."
                console.print(message, soft_wrap=True)
                workers.dismiss(typed)
            else:
                with runs.beginning(save):
                    with stopping_later():
                        module = importlib.import_module(command.module)
                    collect_garbage()
                    module.run(typed, directory)
                save()
            return objective.value(command, getattr(typed, "objective", None), directory)
    except KeyboardInterrupt as error:
        if command.takes or not (directory / runs.RECORD).is_file():
            raise
        raise Interrupted(
            f"interrupted at once; continue from the last checkpoint with "
            f"`lipsort {command.name} {command_line(('resume', directory))}`"
        ) from error


def _claimed(command: Command, typed: Any, directory: Path) -> AbstractContextManager[str | None]:
    """The lock of a run's directory, and how the run stands; other commands only work there."""
    if command.takes or command.many:
        return locked(directory)
    return runs.claimed(directory, command.name, typed)


def directory_of(config: DictConfig) -> Path:
    """Where a single run works: ``hydra.run.dir``.

    Raises:
        UsageError: it cannot be told, or is none.
    """
    try:
        with known_to_hydra(config):
            found = OmegaConf.select(config, "hydra.run.dir", throw_on_missing=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise UsageError(f"hydra.run.dir: {first_line(error)}") from error
    return finding.usable_folder("hydra.run.dir", str(found))


def _overrides(hydra: DictConfig) -> list[str]:
    """As they were given: what they refer to is not looked up."""
    return [str(text) for text in cast(list[Any], OmegaConf.to_container(hydra.overrides.task))]


def _of_hydra(hydra: DictConfig, **changes: Any) -> DictConfig:
    copied = OmegaConf.create({"hydra": copy.deepcopy(hydra)})
    with flag_override(copied.hydra, "readonly", False):
        copied.hydra.update(changes)
    return copied


def _files(config: DictConfig, hydra: DictConfig, folder: str) -> Saved:
    """What Hydra saves of a job."""
    contents = {
        "config": without_hydra(config),
        "hydra": _of_hydra(hydra, output_subdir=folder),
        "overrides": hydra.overrides.task,
    }
    return {f"{folder}/{name}.yaml": OmegaConf.to_yaml(node) for name, node in contents.items()}


_OURS = "raised by the job of lipsort's in "


def failed_in(error: Exception) -> Path | None:
    """The folder of the job of another process that raised an error; None: no job did."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(_OURS)]
    return Path(notes[0].removeprefix(_OURS)) if notes else None


def show_defect(error: Exception) -> None:
    """The traceback of a job's error that is none of those of which a message is made."""
    if not isinstance(error, LipsortError | OSError | MemoryError):
        traceback.print_exception(error)


class SweepTask:
    """What Hydra calls with the configuration of a sweep's job; an object, so that it is pickled.

    In this process, errors are kept for the end instead of raised: the other jobs of a sweep run
    all the same, and Hydra has nothing to print of its own. A copy in another process raises,
    because only that reaches us from there.
    """

    def __init__(self, command: Command, subdir: str | None) -> None:
        self.command = command
        self.subdir = subdir
        self.errors: list[Exception] = []
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "errors": []}

    def __call__(self, config: DictConfig) -> Any:
        """Run one job; its objective, which a sweeper may optimize."""
        state = HydraConfig.get()
        node = cast(DictConfig, state)
        label = " ".join(_overrides(node)) or "defaults"
        console.print(f"Job {state.job.num}: {label}", style="bold")
        elsewhere = self._process != os.getpid()
        directory = Path(state.runtime.output_dir)
        try:
            with ending_with(self._process) if elsewhere else nullcontext():
                found = carry_out(self.command, config, node, directory, self.subdir)
            Farewell.jobs[directory] = "finished"
            return found
        except Exception as error:
            if elsewhere:
                warn(f"job {state.job.num} ({label}): {error}")
                error.add_note(f"{_OURS}{directory}")
                raise
            if isinstance(error, Interrupted):
                again = command_line(("resume", Path(str(state.sweep.dir))))
                error = Interrupted(
                    f"{error}; the whole sweep: `lipsort {self.command.name} -m {again}`"
                )
                # Only this passes through Hydra, and ends a sweep.
                self.errors.insert(0, error)
                raise KeyboardInterrupt from error
            Farewell.jobs[directory] = "failed"
            warn(f"job {state.job.num} ({label}): {error}")
            self.errors.append(error)
            return None
