"""A command line of `lipsort` in a process of its own, forked from one that has all imported."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process with more threads cannot be forked

PROCESSOR_SECONDS, WALL_SECONDS, MEMORY = 60, 300, 3 * 2**29
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


class Outcome(NamedTuple):
    """How a command line ended; ``code`` is negative where a signal ended it."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float
    """What it needed beyond the process that it was forked from."""
    processor: float = 0.0
    """Seconds of processor time."""


def warm() -> None:
    """Import what commands need, so that a fork has it."""
    import importlib

    import matplotlib.figure  # noqa: F401
    import ot  # noqa: F401
    import scipy.stats  # noqa: F401

    import lipsort_cli.verifier.__main__  # noqa: F401
    from lipsort_cli.app import run
    from lipsort_cli.cli import launch, resume  # noqa: F401
    from lipsort_cli.config.schema import COMMANDS

    for command in COMMANDS.values():
        importlib.import_module(command.module)
    with contextlib.redirect_stdout(io.StringIO()):
        run(["zoo"])  # what Typer reads options with, it loads at the first


def nothing() -> None:
    """Do nothing."""


def attempt(
    arguments: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    stdout: str | int | None = None,
    wall: float = WALL_SECONDS,
    limited: bool = True,
    before: Callable[[], None] = nothing,
) -> Outcome:
    """Run ``lipsort ARGUMENTS`` in ``folder``; ``stdout``: a path or a descriptor instead.

    ``before``: called in the child process.
    """
    ending = begun(arguments, folder, environment, stdout, wall, limited, before)
    return ending()


def begun(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    stdout: str | int | None = None,
    wall: float = WALL_SECONDS,
    limited: bool = True,
    before: Callable[[], None] = nothing,
) -> Callable[[], Outcome]:
    """The same, in the background: what waits for its end is returned."""
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    target = out.fileno() if stdout is None else stdout
    began, own = time.monotonic(), _resident()
    child = os.fork()
    if child == 0:
        before()
        _become(arguments, folder, environment or {}, target, err.fileno(), limited)

    def ending() -> Outcome:
        while True:
            pid, status, used = os.wait4(child, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > wall:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.003)
        seconds = time.monotonic() - began
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # whatever it left behind
        texts = []
        for stream in (out, err):
            with stream:
                stream.seek(0)
                texts.append(stream.read().decode("utf-8", "replace"))
        more = used.ru_maxrss / 1024 - own
        spent = used.ru_utime + used.ru_stime
        return Outcome(os.waitstatus_to_exitcode(status), *texts, seconds, more, spent)

    return ending


def empty_pictures() -> None:
    """Have pictures composed, but left empty."""
    from matplotlib.figure import Figure

    Figure.savefig = lambda self, file, **_: file.write(PIXEL)


def _become(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    out: str | int,
    err: int,
    limited: bool,
) -> None:
    """Be the command line, in a child process; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        if limited:
            _limit()
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
        descriptor = os.open(out, os.O_WRONLY) if isinstance(out, str) else out
        _stand(folder, environment, descriptor, err)
        code = _call(arguments)
    finally:
        os._exit(code)


def _resident() -> float:
    """Mebibytes that this process holds at the moment."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _stand(folder: Path, environment: Mapping[str, str], out: int, err: int) -> None:
    """Give this process a folder, an environment and streams."""
    os.chdir(folder)
    os.environ.update(environment)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, number)
    os.close(null)
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
    binary = [os.fdopen(number, "wb", closefd=False) for number in (1, 2)]
    sys.stdout = io.TextIOWrapper(binary[0], encoding=encoding)
    sys.stderr = io.TextIOWrapper(
        binary[1], encoding=encoding, errors="backslashreplace", line_buffering=True
    )
    # A process of its own logs nowhere; what was forked may log to streams that are closed.
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)


def _call(arguments: Sequence[str]) -> int:
    """Run ``lipsort ARGUMENTS`` here; its exit code."""
    from lipsort_cli.app import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [str(Path(sys.executable).with_name("lipsort")), *arguments]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return code


def together(lines: Sequence[tuple[Sequence[str], Path, Callable[[], None]]]) -> Iterator[Outcome]:
    """Run command lines, each in its folder, one after the other in as few processes as survive."""
    start = 0
    while start < len(lines):
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            _answer(lines[start:], theirs)
        os.close(theirs)
        began = time.monotonic()
        with os.fdopen(ours) as answers:
            for line in answers:
                yield Outcome(*json.loads(line))
                start, began = start + 1, time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if start < len(lines):
            yield Outcome(code or -signal.SIGABRT, "", "", time.monotonic() - began, 0.0)
            start += 1


def _answer(lines: Sequence[tuple[Sequence[str], Path, Callable[[], None]]], answers: int) -> None:
    """Run command lines in this child process, and write how each ended; never returns."""
    from lipsort_cli.cli import launch

    try:
        os.setpgid(0, 0)
        _limit()
        own = launch._check
        for arguments, folder, before in lines:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                most, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
                signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS)
                signal.alarm(WALL_SECONDS)
                launch._check = own
                before()
                _stand(folder, {}, out.fileno(), err.fileno())
                code = _call(arguments)
                signal.alarm(0)
                signal.setitimer(signal.ITIMER_PROF, 0)
                texts = []
                for stream in (out, err):
                    stream.seek(0)
                    texts.append(stream.read().decode("utf-8", "replace"))
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most) / 1024
            line = json.dumps([code, *texts, time.monotonic() - began, more]) + "\n"
            with os.fdopen(os.dup(answers), "w") as stream:
                stream.write(line)
    finally:
        os._exit(1)
