"""The trials of a study, trained by worker processes until there are as many as asked for."""

from __future__ import annotations

import contextlib
import queue
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipsort_cli.console import plural, warn
from lipsort_cli.errors import LipsortError
from lipsort_cli.identity import holder
from lipsort_cli.reproduction.jobs import Job
from lipsort_cli.reproduction.pool import PATIENCE, Answers, Worker, death, end
from lipsort_cli.tune.study import Study, Trial

_WORKER = "lipsort_cli.tune.worker"

HOPELESS = 3
"""Trials that may fail before any has come to its end."""


class Search:
    """Trains trials of ``study`` until it has ``trials``, ``workers`` at a time.

    ``command`` and the words of the space's are what every trial is a training of; ``prune`` ends
    those early that lag behind; ``cwd`` is the folder that their paths are seen from. ``told`` is
    called after each.
    """

    def __init__(
        self,
        study: Study,
        command: str,
        *,
        trials: int,
        workers: int,
        prune: bool,
        cwd: Path | None,
        told: Callable[[Trial], None],
    ) -> None:
        self.study, self.command, self.told = study, command, told
        self.total, self.workers, self.cwd = trials, workers, cwd
        self.watched = study.goals[0].key if prune and len(study.goals) == 1 else None
        self._answers: Answers = queue.Queue()
        self._busy: dict[Worker, Trial] = {}
        self._idle: list[Worker] = []

    def run(self) -> None:
        """Do it.

        Raises:
            KeyboardInterrupt: when all workers have left what can be gone on with.
            LipsortError: the first trials all failed; the first reason is told.
        """
        waiting = self.study.in_state("running")
        for trial in waiting:
            self._wait_for(trial)
        try:
            while True:
                self._hand_out(waiting)
                if not self._busy:
                    break
                self._take(*self._answers.get())
        except BaseException:
            end([*self._busy, *self._idle], interrupt=True)
            raise
        end(self._idle)

    def _wait_for(self, trial: Trial) -> None:
        """A worker whose parent was killed has a last step to do."""
        deadline = time.monotonic() + PATIENCE
        while holder(self.study.directory(trial)) and time.monotonic() < deadline:
            time.sleep(0.2)

    def _hand_out(self, waiting: list[Trial]) -> None:
        while len(self._busy) < self.workers:
            if waiting:
                trial = waiting.pop(0)
            elif len(self.study.trials) < self.total:
                trial = self.study.ask()
            else:
                return
            worker = self._idle.pop() if self._idle else Worker(self._answers, _WORKER, self.cwd)
            self._busy[worker] = trial
            job = Job(
                self.command,
                (*self.study.space.fixed, *trial.words),
                self.study.directory(trial),
            )
            worker.give(job, watched=self.watched)

    def _take(self, worker: Worker, answer: dict[str, Any] | None) -> None:
        if answer is not None and "report" in answer:
            worker.tell({"stop": self.study.report(self._busy[worker], **answer["report"])})
            return
        trial = self._busy.pop(worker, None)
        if answer is None:
            code = worker.process.wait()
            if trial is None:
                self._idle.remove(worker)
                return
            answer = {"status": "failed", "error": death(code), "figures": {}}
        else:
            self._idle.append(worker)
        assert trial is not None
        if answer["status"] == "interrupted":
            raise KeyboardInterrupt
        trial.seconds = answer.get("seconds", 0.0)
        self.study.end(trial, answer["status"], answer["figures"], answer.get("error", ""))
        self._tidy()
        if trial.state == "failed":
            self._complain(trial)
        self.told(trial)

    def _tidy(self) -> None:
        """Keep the checkpoints of those only that may still be chosen."""
        kept = {trial.number for trial in (*self.study.front(), *self.study.in_state("running"))}
        for trial in self.study.trials:
            if trial.number not in kept:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(self.study.directory(trial) / "checkpoint")

    def _complain(self, trial: Trial) -> None:
        failed = self.study.in_state("failed")
        if len(failed) >= min(HOPELESS, self.total) and not self.study.in_state("complete"):
            raise LipsortError(
                f"{plural(len(failed), 'trial')} failed, none came to its end: {failed[0].error} "
                "(log: "
                f"{self.study.directory(failed[0]) / 'log.txt'})"
            )
        warn(f"trial {trial.number} ({' '.join(trial.words)}) failed: {trial.error}")
