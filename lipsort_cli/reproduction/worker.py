"""A process that does jobs one after the other: ``python -m lipsort_cli.reproduction.worker``.

It reads one job a line as JSON from standard input and answers each with a line on standard
output. What a job prints goes to ``log.txt`` in its directory. Torch is loaded once for all jobs.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from lipsort_cli.errors import Interrupted, LipsortError, first_line
from lipsort_cli.processes import ending_with


def main(do: Callable[[dict[str, Any], TextIO], dict[str, Any]] | None = None) -> int:
    """Serve until standard input ends; ``do`` a job, by default :func:`serve` it.

    It may write lines of its own to the stream of answers before it returns the last.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Nothing that a library prints may be taken for an answer.
    os.dup2(2, 1)
    try:
        with ending_with(os.getppid()):  # nobody else waits for the rest
            for line in iter(sys.stdin.readline, ""):
                job = json.loads(line)
                answer = serve(job) if do is None else do(job, answers)
                answers.write(json.dumps(answer) + "\n")
                answers.flush()
    except KeyboardInterrupt:
        return 130
    return 0


def serve(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; the answer says how it ended: finished, failed or interrupted."""
    directory = Path(job["directory"])
    began, used = time.monotonic(), time.process_time()
    answer: dict[str, Any] = {"directory": str(directory)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (
            (directory / "log.txt").open("a", encoding="utf-8") as log,
            redirect_stdout(log),
            redirect_stderr(log),
        ):
            try:
                perform(job["command"], job["overrides"], directory)
                answer["status"] = "finished"
            except Interrupted as error:
                log.write(f"{error}\n")
                answer["status"] = "interrupted"
            except (Exception, SystemExit) as error:
                traceback.print_exc()
                answer |= {"status": "failed", "error": first_line(error)}
    except KeyboardInterrupt:
        answer["status"] = "interrupted"
    except OSError as error:
        answer |= {"status": "failed", "error": str(error)}
    answer["seconds"] = round(time.monotonic() - began, 3)
    # What it would have taken on an idle core.
    answer["cpu_seconds"] = round(time.process_time() - used, 3)
    if answer["status"] == "finished":
        from lipsort_cli.files import write_json
        from lipsort_cli.reproduction.jobs import MARK

        mark = {key: answer[key] for key in ("seconds", "cpu_seconds")}
        mark |= {key: job[key] for key in ("command", "overrides")}
        try:
            write_json(directory / MARK, {"finished": True, **mark})
        except LipsortError as error:  # a full disk: no reason for the process to end
            answer |= {"status": "failed", "error": str(error)}
    return answer


def perform(command: str, overrides: list[str], directory: Path) -> None:
    """Run ``lipsort COMMAND OVERRIDES...`` in ``directory``, going on where it was interrupted.

    As :func:`lipsort_cli.cli.launch.launch` does.
    """
    from lipsort_cli.cli import job
    from lipsort_cli.cli.plain import PLAIN
    from lipsort_cli.config.compose import Composer
    from lipsort_cli.config.schema import find
    from lipsort_cli.quoting import quoted

    if command in PLAIN:
        from lipsort_cli.app import run

        _clear(directory)
        given = [text.replace("{directory}", str(directory)) for text in overrides]
        code = run([command, *given])
        if code:
            raise LipsortError(f"lipsort {command} {' '.join(overrides)} ended with code {code}")
        return
    entry = find(command)
    assert entry is not None
    with Composer(command) as composer:
        overrides = [*overrides, f"hydra.run.dir={quoted(str(directory))}"]
        config = composer.check(overrides, multirun=False)
    job.single(entry, config, directory)


def _clear(directory: Path) -> None:
    """Remove what an interrupted attempt left: commands without checkpoints begin anew."""
    import shutil

    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "log.txt":
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
