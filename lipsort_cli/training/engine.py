"""One engine for whatever is trained: all that tasks share, and nothing of what they are.

A :class:`Task` takes steps, looks at itself between them, and gives and takes its state. The engine
restores it, refuses what belongs to another run, keeps log, clock and checkpoints, shows progress,
joins several processes, and stops between two steps when it is asked to. The same seed gives the
same weights however often a run is interrupted: bit for bit on the same machine with the same
number of threads.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from lipsort_cli.console import command_line
from lipsort_cli.devices import UNREAD, reads_freely
from lipsort_cli.errors import Interrupted, LipsortError, first_line
from lipsort_cli.identity import Identity, described
from lipsort_cli.metrics import MetricsLog
from lipsort_cli.processes import on_stop_signals
from lipsort_cli.runs import RunRecord
from lipsort_cli.training.checkpoint import (
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from lipsort_cli.training.distributed import Team
from lipsort_cli.training.interrupts import StepBoundary
from lipsort_cli.training.progress import TrainingProgress
from lipsort_cli.training.seeds import mixed_seed
from lipsort_cli.training.trackers import About, Trackers

Line = tuple[str, dict[str, Any]]
"""What is logged at once: the split that it is of, and values by name."""

_SHOWN_EVERY = 10
"""Steps between two movements of the progress bar."""


@dataclass
class Position:
    """How far a training came: steps, and seconds spent in them alone, looks and files left out."""

    step: int = 0
    seconds: float = 0.0


class Task(ABC):
    """What is trained. The engine moves :attr:`at` and sets :attr:`team`; a task reads them.

    Several processes keep the ``networks`` the same. ``total``: steps at most; ``clip``: largest
    gradient norm of an update; None: no limit.
    """

    rate_keys = "optimizer.lr"
    """The keys to lower where training diverges."""
    seed: int

    def __init__(
        self, networks: Sequence[nn.Module], device: torch.device, total: int, clip: float | None
    ) -> None:
        self.networks, self.device, self.total, self.clip = networks, device, total, clip
        self.at = Position()
        self.team = Team()
        self._unread: list[tuple[Tensor, str, int]] = []
        self._followers: list[Any] = [
            module for one in networks for module in one.modules() if hasattr(module, "progress")
        ]

    def tell(self) -> None:
        """Tell layers whose training changes on the way how far it is."""
        for module in self._followers:
            module.progress = self.done

    def begin(self) -> None:  # noqa: B027 -- most tasks have nothing to do there
        """What comes before the first step, once in the life of a run."""

    @abstractmethod
    def step(self) -> None:
        """One step of training, number ``at.step``; all that it draws depends on that number."""

    @property
    @abstractmethod
    def due(self) -> bool:
        """Whether there is something to :meth:`look` at; asked after every step."""

    @abstractmethod
    def look(self) -> Iterator[Line]:
        """What is measured at ``at.step`` and logged."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Tensors, numbers, texts, lists and dicts that :meth:`load_state` goes on from."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Take what :meth:`state` gave; ``at`` is set before."""

    @abstractmethod
    def words(self) -> str:
        """The latest figures in a few words; empty before there are any."""

    @property
    def epoch(self) -> int:
        """Passes over the data that are done; 0 where there are none."""
        return 0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.at.step >= self.total

    @property
    def done(self) -> float:
        """Share of the run that is done."""
        return self.at.step / self.total

    @property
    def progress(self) -> float:
        """Share of the run that is done in the middle of the next step, which schedules follow."""
        return min(1.0, (self.at.step + 0.5) / self.total)

    def random(self, purpose: int, position: int) -> torch.Generator:
        """What is drawn for a purpose at a step or epoch: of the seed, and of nothing else."""
        return torch.Generator().manual_seed(mixed_seed(self.seed, purpose, position))

    def update(
        self, loss: Tensor, optimizer: Optimizer, network: nn.Module, name: str = "the loss"
    ) -> Tensor:
        """Move ``network`` down this process' part of ``loss``; the value of the whole, a scalar.

        Where numbers are read freely, a loss that is not finite ends the run here, before weights
        move; elsewhere before anything of its step is logged or written (:meth:`settle`).
        """
        value = self.team.summed(loss.detach())
        self._unread.append((value, name, self.at.step))
        if reads_freely(self.device) or len(self._unread) >= UNREAD:
            self.settle()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.team.sum_gradients(network.parameters())
        if self.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), self.clip)
        optimizer.step()
        return value

    def settle(self) -> None:
        """Look at the losses since the last time; waits until their steps are done.

        Raises:
            LipsortError: one is not finite; the message names it, and its step.
        """
        unread, self._unread = self._unread, []
        values = torch.stack([value for value, _, _ in unread]).tolist() if unread else []
        for value, (_, name, step) in zip(values, unread, strict=True):
            if not math.isfinite(value):
                raise self._diverged(f"{name} is {value} at step {step}")

    def check_weights(self) -> None:
        """Raises LipsortError where a weight is not finite, as a gradient's overflow leaves it."""
        weights = (one for network in self.networks for one in network.state_dict().values())
        if not all(bool(one.isfinite().all()) for one in weights):
            raise self._diverged(f"a weight is not finite after step {self.at.step}")

    def _diverged(self, what: str) -> LipsortError:
        return LipsortError(
            f"{what}; lower {self.rate_keys}, set training.gradient_clip, or look for extreme "
            "values in the data"
        )


@dataclass(frozen=True)
class Session:
    """Where and how a task is trained.

    ``directory`` holds its files; ``resume`` names the run that `lipsort COMMAND resume=` goes on
    with, by default the same. ``trackers`` are told ``settings``. ``alone``: other processes of a
    team do not take part.
    """

    directory: Path
    command: str
    resume: Path | None = None
    identity: Identity = Identity()
    seed: int = 0
    threads: int = 0
    trackers: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_seconds: float = 30.0
    alone: bool = False

    @classmethod
    def of(cls, config: Any, record: RunRecord) -> Session:
        """That of a command's configuration and its record."""
        return cls(
            record.directory,
            record.values["command"],
            identity=record.identity,
            seed=config.seed,
            threads=config.threads,
            trackers=config.tracker,
            settings=described(config),
            checkpoint_seconds=config.training.checkpoint_seconds,
        )


class Trial(ABC):
    """Watches a training that is for comparison with others only, and may end it early."""

    stopped = False
    """Whether it is to end after this step."""
    trained = False
    """Whether it came to its end."""

    @abstractmethod
    def told(self, done: float, split: str, values: Mapping[str, Any]) -> None:
        """What is logged when the share ``done`` of the training is done."""


TRIAL: ContextVar[Trial | None] = ContextVar("trial", default=None)
"""Where it is set, a run ends as if interrupted when it is trained: nobody looks at its test set,
and ``resume=`` judges it without training it again."""


def run(task: Task, session: Session) -> bool:
    """Train ``task`` to its end, from its checkpoint if there is one.

    Returns:
        Whether this process is the one that judges and saves the result.

    Raises:
        Interrupted: Ctrl-C, a termination or hang-up signal, or a :data:`TRIAL`; a checkpoint was
            written.
        LipsortError: the checkpoint is damaged or another run's, a loss is not finite, or a file
            cannot be written.
    """
    team = task.team = Team() if session.alone else Team.join(task.device)
    try:
        if team.told(True):  # not by a leader whose run is finished
            team.start(task.networks, session.seed)
            _train(task, session)
    finally:
        team.leave()
    return team.leads


def _train(task: Task, session: Session) -> None:
    team, at, trial = task.team, task.at, TRIAL.get()
    restored = _restore(task, session)
    resume_at = at.step if restored else None
    log = MetricsLog(session.directory / "metrics.jsonl", resume_at=resume_at)
    about = About(session.directory, session.command, session.settings, at.step)
    trackers = Trackers(session.trackers if team.leads else (), about)
    saved, boundary = time.monotonic(), StepBoundary(patient=team.place.size > 1)
    try:
        with on_stop_signals(boundary), TrainingProgress(task.total, at.step) as progress:
            if not restored:
                _timed(task, task.begin)
                _look(task, log, trackers, progress)
                if task.finished:
                    _save(task, session)
            while not task.finished:
                task.tell()
                _timed(task, task.step, 1)
                _look(task, log, trackers, progress)
                due = time.monotonic() - saved >= session.checkpoint_seconds
                wanted = boundary.requested or (trial is not None and trial.stopped)
                stop, due = team.agree(wanted, due)
                if stop or due or task.finished:
                    _save(task, session)
                    saved = time.monotonic()
                if stop and not task.finished:
                    again = command_line(("resume", session.resume or session.directory))
                    raise Interrupted(
                        f"interrupted after step {at.step} of {task.total}; continue with "
                        f"`lipsort {session.command} {again}`"
                    )
        if trial is not None:
            trial.trained = True
            raise Interrupted(f"a trial: trained in {at.step} steps, and not judged")
    finally:
        log.close()
        trackers.close(finished=task.finished)


def _timed(task: Task, action: Callable[[], None], steps: int = 0) -> None:
    """Take a step, what comes before the first, or wait for those that were begun, on the clock:
    nothing else is training."""
    began = time.monotonic()
    action()
    task.at.step += steps
    if steps:
        task.team.average_buffers(task.networks)
    seconds = task.at.seconds + time.monotonic() - began
    # Whether a run is over may depend on it: one clock for all.
    (task.at.seconds,) = task.team.total([seconds if task.team.leads else 0.0])


def _look(task: Task, log: MetricsLog, trackers: Trackers, progress: TrainingProgress) -> None:
    if not task.due:
        if task.at.step % _SHOWN_EVERY == 0:
            progress.update(task.at.step, task.words())
        return
    _timed(task, task.settle)
    for split, values in task.look():
        log.log(epoch=task.epoch, step=task.at.step, split=split, **values)
        trackers.log(split, task.at.step, values)
        if (trial := TRIAL.get()) is not None:
            trial.told(task.done, split, values)
    progress.milestone(task.at.step, task.words())


# --- checkpoints ------------------------------------------------------------------------------


def _save(task: Task, session: Session) -> None:
    """Write the checkpoint, between two steps; every process of a team calls it."""
    # Off the clock, which a run that has a time limit would end by, unlooked at.
    task.settle()
    task.check_weights()
    # Collective: every process gives its random states, the leader writes.
    states = task.team.gathered(random_states())
    if task.team.leads:
        run = {**vars(session.identity), **vars(task.at), "threads": torch.get_num_threads()}
        save_checkpoint(session.directory, {**run, "random": states, "task": task.state()})


def _restore(task: Task, session: Session) -> bool:
    """Put the checkpoint back, where there is one; every process of a team calls it."""
    state = load_checkpoint(session.directory) if task.team.leads else None
    state = task.team.told(state)
    if state is None:
        return False
    foreign = f"the checkpoint in {session.directory} belongs to another run"
    for key, allowed in vars(session.identity).items():
        if state.get(key) != allowed:
            raise LipsortError(
                f"{foreign}: its {key} has SHA-256 {state.get(key)}, allowed {allowed}; restore "
                "it, or start a new run"
            )
    try:
        task.at.step, task.at.seconds = int(state["step"]), float(state["seconds"])
        if not (0 <= task.at.step <= task.total and 0 <= task.at.seconds < math.inf):
            raise ValueError(f"step {task.at.step} of {task.total}, {task.at.seconds} seconds")
        task.load_state(state["task"])
        states = state["random"]
        # A process that was not there before has drawn nothing yet.
        if task.team.rank < len(states):
            restore_random_states(states[task.team.rank])
        if session.threads == 0:
            torch.set_num_threads(state["threads"])
    except (
        LookupError, ValueError, RuntimeError, TypeError, ArithmeticError, AttributeError
    ) as error:  # fmt: skip
        raise LipsortError(f"{foreign} ({first_line(error)}); start a new run") from error
    return True
