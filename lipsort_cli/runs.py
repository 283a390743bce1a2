"""Run directories: their record ``run.json``, and how they are found.

Nothing here imports torch. Whoever reads a file of a run may rely on it being complete, because
every file is replaced atomically (:mod:`lipsort_cli.files`).
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import read_json, write_atomic, write_error, write_json
from lipsort_cli.metrics import MetricsLog

__all__ = [
    "RECORD",
    "MetricsLog",
    "RunRecord",
    "commit",
    "find_run",
    "is_alive",
    "read_json",
    "read_record",
    "versions",
    "write_atomic",
    "write_error",
    "write_json",
]

RECORD = "run.json"
"""Name of the record in a run directory."""

_REPORTED = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of what decides a run's numbers, by distribution name."""
    from lipsort_cli import __version__

    found = {"lipsort": __version__, "python": platform.python_version()}
    for name in _REPORTED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def commit() -> str | None:
    """The commit of the checkout that this package runs from; None for an installed wheel."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(checkout), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


class RunRecord:
    """``run.json``: what a run is, and how far it came.

    Keys: ``command``, ``status`` (``running``, ``finished``, ``interrupted``, ``failed``),
    ``versions``, ``start`` (UTC, ISO 8601, of the first start), ``seconds`` (spent in all starts),
    ``host`` and ``pid`` of the latest start; where they are known ``commit``, ``device``, ``seed``,
    ``data`` (the fingerprint); ``resumed`` (how often) and ``reason`` (of a failure) where they
    apply.
    """

    def __init__(self, directory: Path, values: dict[str, Any]) -> None:
        self.directory = Path(directory)
        self.values = values
        self._before = float(values.get("seconds", 0.0))
        self._began = time.monotonic()

    @classmethod
    def start(
        cls,
        directory: Path,
        command: str,
        *,
        seed: int | None = None,
        device: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> RunRecord:
        """Record that ``command`` runs in ``directory`` from now on.

        A record of the same command that is already there is continued: first start and seconds
        spent are kept.

        Raises:
            UsageError: the directory holds the run of another command.
            LipsortError: the record cannot be written.
        """
        directory = Path(directory)
        values: dict[str, Any] = {
            "command": command,
            "status": "running",
            "start": datetime.now(UTC).isoformat(),
            "seconds": 0.0,
        }
        if (directory / RECORD).exists():
            earlier = read_record(directory)
            if earlier["command"] != command:
                raise UsageError(
                    f"{directory} holds a run of `lipsort {earlier['command']}`; "
                    f"choose another folder for `lipsort {command}`"
                )
            values["start"] = earlier.get("start", values["start"])
            values["seconds"] = earlier.get("seconds", 0.0)
            values["resumed"] = int(earlier.get("resumed", 0)) + 1
        values |= {"host": socket.gethostname(), "pid": os.getpid(), "versions": versions()}
        known = {"commit": commit(), "device": device, "seed": seed, "data": data}
        values |= {key: value for key, value in known.items() if value is not None}
        record = cls(directory, values)
        record._write()
        return record

    def finish(self) -> None:
        """The run came to its end."""
        self._set("finished")

    def interrupt(self) -> None:
        """The run was stopped, and can be resumed."""
        self._set("interrupted")

    def fail(self, reason: str) -> None:
        """The run broke; ``reason`` says why, in one line."""
        self.values["reason"] = reason
        self._set("failed")

    def _set(self, status: str) -> None:
        self.values["status"] = status
        self._write()

    def _write(self) -> None:
        self.values["seconds"] = round(self._before + time.monotonic() - self._began, 3)
        write_json(self.directory / RECORD, self.values)

    @classmethod
    @contextlib.contextmanager
    def recording(
        cls,
        directory: Path,
        command: str,
        *,
        seed: int | None = None,
        device: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> Iterator[RunRecord]:
        """Start a record; finish it, or mark it interrupted or failed as the block ends.

        Exceptions pass through. When even the record cannot be written (a full disk), the first
        failure is the one that is reported.
        """
        record = cls.start(directory, command, seed=seed, device=device, data=data)
        try:
            yield record
        except (KeyboardInterrupt, Interrupted):
            with contextlib.suppress(LipsortError):
                record.interrupt()
            raise
        except BaseException as error:
            with contextlib.suppress(LipsortError):
                lines = str(error).strip().splitlines()
                record.fail(lines[0] if lines else type(error).__name__)
            raise
        else:
            record.finish()


def read_record(directory: Path) -> dict[str, Any]:
    """The record of the run in ``directory``.

    Raises:
        LipsortError: there is none, or it is damaged.
    """
    record = read_json(Path(directory) / RECORD)
    if not (
        isinstance(record, dict)
        and isinstance(record.get("command"), str)
        and isinstance(record.get("status"), str)
    ):
        raise LipsortError(f"{Path(directory) / RECORD}: not the record of a lipsort run")
    return record


def is_alive(record: dict[str, Any]) -> bool:
    """Whether the process that wrote a ``running`` record still runs on this machine."""
    pid = record.get("pid")
    if record.get("status") != "running" or record.get("host") != socket.gethostname():
        return False
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A killed child that nobody waited for still answers signals, but runs no more.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


# --- finding runs -----------------------------------------------------------------------------


def find_run(argument: str | None, commands: tuple[str, ...], root: Path = Path("outputs")) -> Path:
    """The absolute directory of the finished run that a command works on.

    ``argument`` names it; None takes the newest finished run of ``commands`` under ``root``, and
    says on screen which one that is.

    Raises:
        UsageError: no such run, no run at all, a run of another command, or one unfinished.
    """
    wanted = " or ".join(f"`lipsort {command}`" for command in commands)
    if argument is None:
        newest = _newest(commands, Path(root))
        if newest is None:
            raise UsageError(
                f"no finished run of {wanted} under {Path(root).resolve()}; "
                f"name a run directory, or run `lipsort {commands[0]}` first"
            )
        from lipsort_cli.console import console

        console.print(f"Newest finished run: {newest}", markup=False, soft_wrap=True)
        return newest.resolve()
    return _checked(Path(argument).expanduser(), commands, wanted)


def _checked(directory: Path, commands: tuple[str, ...], wanted: str) -> Path:
    if not directory.exists():
        raise UsageError(f"{directory}: no such directory; give the directory of a run of {wanted}")
    if not directory.is_dir():
        raise UsageError(f"{directory} is a file; give the directory of a run of {wanted}")
    if not (directory / RECORD).is_file():
        raise UsageError(
            f"{directory} is no run directory: it holds no {RECORD}; "
            f"give the directory of a run of {wanted}"
        )
    try:
        record = read_record(directory)
    except LipsortError as error:
        raise UsageError(str(error)) from error
    if record["command"] not in commands:
        raise UsageError(
            f"{directory} is a run of `lipsort {record['command']}`; "
            f"give the directory of a run of {wanted}"
        )
    if record["status"] != "finished":
        resume = f"finish it with `lipsort {record['command']} resume={directory}`"
        advice = f"wait for process {record['pid']}" if is_alive(record) else resume
        raise UsageError(f"{directory}: the run {_progress(record)}, not finished; {advice}")
    return directory.resolve()


def _progress(record: dict[str, Any]) -> str:
    """How an unfinished run stands; a process that was killed could not record it."""
    if record["status"] != "running" or is_alive(record):
        return f"is {record['status']}"
    if record.get("host") not in (None, socket.gethostname()):
        return f"was last seen running on {record['host']}"
    return "was killed"


def _newest(commands: tuple[str, ...], root: Path) -> Path | None:
    newest: tuple[str, Path] | None = None
    for command in commands:
        # Single runs lie at <date>/<time>, jobs of a sweep one level deeper.
        for pattern in (f"{command}/*/*/{RECORD}", f"{command}/*/*/*/{RECORD}"):
            for path in root.glob(pattern):
                with contextlib.suppress(LipsortError):
                    record = read_record(path.parent)
                    if record["status"] != "finished" or record["command"] != command:
                        continue
                    candidate = (str(record.get("start", "")), path.parent)
                    if newest is None or candidate > newest:
                        newest = candidate
    return newest[1] if newest else None
