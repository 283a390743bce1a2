"""Jobs over worker processes: in parallel, in order, those that depend on others after them.

Not one of Hydra's launchers: they run one sweep of one command, and know of no job that needs
another's result. One job killed of four: joblib's ends with none of the others done; submitit's
local executor does them, all at once, torch loaded afresh for each, and raises instead of
answering. Here a worker loads torch once, and one that dies takes only its job with it.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from lipsort_cli.reproduction.jobs import Job

PATIENCE = 60.0
"""Seconds that an interrupted worker has for its last step and checkpoint."""

Answers: TypeAlias = "queue.Queue[tuple[Worker, dict[str, Any] | None]]"
"""Workers with what they say; None when they end."""

Told = Callable[[Job, dict[str, Any]], None]


class Worker:
    """One worker process, ``python -m MODULE``, and the thread that reads its answers."""

    def __init__(
        self,
        answers: Answers,
        module: str = "lipsort_cli.reproduction.worker",
        cwd: Path | None = None,
    ) -> None:
        # One thread each: the workers together fill the machine.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=env,
            cwd=cwd,
            # Ctrl-C reaches only the parent, which asks each worker once: a second request would
            # cut a step in half.
            start_new_session=True,
        )
        self.job: Job | None = None
        self._answers = answers
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put((self, json.loads(line)))
        self._answers.put((self, None))

    def give(self, job: Job, **rest: Any) -> None:
        """Let it do a job; ``rest`` is for other kinds of workers."""
        self.job = job
        message = {"command": job.command, "overrides": list(job.overrides)}
        self.tell({**message, "directory": str(job.directory.absolute()), **rest})

    def tell(self, message: dict[str, Any]) -> None:
        """Send it a line; one that is gone says so itself."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        """No further job: it ends when the present one has."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it is gone already
            self.process.stdin.close()

    def interrupt(self) -> None:
        """Ask it to leave a resumable run and end."""
        self.stop()
        if self.process.poll() is None:
            self.process.terminate()


def run(jobs: list[Job], workers: int, told: Told) -> dict[Path, dict[str, Any]]:
    """Do all ``jobs``; the answers by directory.

    They are started in this order, so many ``workers`` at a time; ``told`` each job's answer. A job
    whose predecessor failed is not started and counts as failed. A worker that dies takes its job
    with it, and is replaced.

    Raises:
        KeyboardInterrupt: on Ctrl-C, when all workers have left resumable runs.
    """
    answers: Answers = queue.Queue()
    done: dict[Path, dict[str, Any]] = {}
    waiting = list(jobs)
    alive: list[Worker] = []

    def note(job: Job, answer: dict[str, Any]) -> None:
        done[job.directory] = answer
        told(job, answer)

    def fail(job: Job, reason: str) -> None:
        note(job, {"status": "failed", "seconds": 0.0, "error": reason})

    try:
        while waiting or any(worker.job for worker in alive):
            for job in list(waiting):
                if reason := _lost(job, done):
                    waiting.remove(job)
                    fail(job, reason)
            for job in [job for job in waiting if _ready(job, waiting, done)]:
                worker = next((one for one in alive if one.job is None), None)
                if worker is None and len(alive) < workers:
                    worker = Worker(answers)
                    alive.append(worker)
                if worker is not None:
                    waiting.remove(job)
                    worker.give(job)
            if not any(worker.job for worker in alive):
                for job in waiting:  # what they need is neither here nor finished earlier
                    fail(job, "what it needs is gone")
                break
            worker, answer = answers.get()
            did, worker.job = worker.job, None
            if answer is None:
                alive.remove(worker)
                code = worker.process.wait()
                if did is not None:
                    fail(did, death(code))
            elif did is not None:
                note(did, answer)
                if answer["status"] == "interrupted":
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        end(alive, interrupt=True)
        raise
    end(alive)
    return done


def _ready(job: Job, waiting: list[Job], done: dict[Path, dict[str, Any]]) -> bool:
    """Whether all that a job depends on has ended well, in this round or an earlier one."""
    pending = {job.directory for job in waiting}
    return all(
        path not in pending
        and (done[path]["status"] == "finished" if path in done else Job("", (), path).finished)
        for path in job.after
    )


def _lost(job: Job, done: dict[Path, dict[str, Any]]) -> str:
    for path in job.after:
        if path in done and done[path]["status"] != "finished":
            return f"the run it needs failed: {path}"
    return ""


def death(code: int) -> str:
    """Why a process that ended with ``code`` did not finish its job."""
    reason = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the process ended ({reason}); out of memory, or killed"


def end(workers: list[Worker], *, interrupt: bool = False) -> None:
    """Let workers end when their jobs have, or as soon as these can be resumed."""
    for worker in workers:
        worker.interrupt() if interrupt else worker.stop()
    deadline = time.monotonic() + PATIENCE
    for worker in workers:
        try:
            worker.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
