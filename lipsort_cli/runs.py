"""Run directories: their record, their metrics log, and files that are whole or absent.

Nothing here imports torch. A run directory is described by ``run.json``; whoever reads a file of a
run may rely on it being complete, because every file is replaced atomically.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import platform
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from lipsort_cli.errors import Interrupted, LipsortError, UsageError

RECORD = "run.json"
"""Name of the record in a run directory."""

_REPORTED = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "safetensors")


# --- files that are whole or absent -----------------------------------------------------------


def write_error(path: Path, error: OSError) -> LipsortError:
    """The message for a file that cannot be written: which, why, and what to do."""
    advice = {
        errno.ENOSPC: "free some space, or choose another folder with hydra.run.dir=FOLDER",
        errno.EDQUOT: "free some of your quota, or choose another folder with hydra.run.dir=FOLDER",
        errno.EACCES: "choose a folder that you may write to with hydra.run.dir=FOLDER",
        errno.EPERM: "choose a folder that you may write to with hydra.run.dir=FOLDER",
        errno.EROFS: "choose a folder that you may write to with hydra.run.dir=FOLDER",
    }.get(error.errno or 0, "choose another folder with hydra.run.dir=FOLDER")
    return LipsortError(f"cannot write {path}: {error.strerror or error}; {advice}")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace ``path`` by ``data`` so that a reader sees the old file or the new one, whole.

    The bytes go to a temporary file in the same folder, reach the disk (fsync), and take the
    name by ``os.replace``. Text is written as UTF-8.

    Raises:
        LipsortError: the file cannot be written; the old one is untouched, nothing is left over.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a result is as readable as any other file of the user.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` atomically as JSON, indented by 2.

    Raises:
        LipsortError: the file cannot be written.
        ValueError: ``value`` holds NaN or an infinity, which JSON has no words for.
    """
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value that the JSON file ``path`` holds.

    Raises:
        LipsortError: the file is missing, unreadable, or no JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise LipsortError(f"{path}: no such file") from error
    except OSError as error:
        raise LipsortError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise LipsortError(f"{path}: not a JSON file, or a damaged one ({error})") from error


# --- run.json ---------------------------------------------------------------------------------


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
        raise UsageError(
            f"{directory}: the run is {record['status']}, not finished; "
            f"finish it with `lipsort {record['command']} resume={directory}`"
        )
    return directory.resolve()


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


# --- metrics.jsonl ----------------------------------------------------------------------------


class MetricsLog:
    """``metrics.jsonl``: one JSON object a logged step.

    Every line holds ``epoch``, ``step``, ``split`` and named values; a value that is no finite
    number is written as null. With ``resume_at``, an existing file keeps its lines up to that
    step and loses the rest, which the resumed run writes again; without, it is started afresh.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None) -> None:
        self.path = Path(path)
        if resume_at is not None and self.path.exists():
            write_atomic(self.path, "".join(self._kept(resume_at)))
        else:
            write_atomic(self.path, "")
        try:
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise write_error(self.path, error) from error

    def _kept(self, resume_at: int) -> Iterator[str]:
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line that a kill cut short
            if isinstance(entry, dict) and entry.get("step", resume_at + 1) <= resume_at:
                yield line + "\n"

    def log(self, *, epoch: int, step: int, split: str, **values: float | int | str | None) -> None:
        """Append one line, and hand it to the system at once."""
        entry: dict[str, Any] = {"epoch": epoch, "step": step, "split": split}
        for key, value in values.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            entry[key] = value if finite else None
        try:
            self._file.write(json.dumps(entry, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error

    def close(self) -> None:
        """Close the file; logging is over."""
        self._file.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
