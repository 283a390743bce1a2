"""What makes a run the run that it is, and who works in its directory.

A run is its configuration and its data, wherever it lies. Whatever goes on with a run compares both
with what ``run.json`` holds of them, by :func:`differences`, before anything is written; and it
holds the directory's lock (:func:`locked`) while it works there. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from lipsort_cli.config import plugins
from lipsort_cli.config.tree import leaves
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import LARGEST_WEIGHTS, opened, write_error
from lipsort_cli.quoting import spelled

PLACES = ("data.root", "data.path", "distribution.root")
"""Keys that say where data lie. Their content is compared when it is read."""

CHANGEABLE = (
    "device",
    "threads",
    "tracker",
    "training.checkpoint_seconds",
    *PLACES,
    "moved",
    "data.download",
    "distribution.download",
    "objective",
    "resume",
    "trials",
    "workers",
)
"""Keys that a run may go on with another value of: how and where it is carried out, where its data
lie (whose content is compared), and what it is asked for at the end. All others make it a run of
its own."""

LOCK = ".lock"
"""Name of the file in a run directory that is locked while a process works there."""

_TRIES = 10
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)
_ABSENT = "nothing"


@dataclass(frozen=True)
class Identity:
    """SHA-256 of the whole configuration, less what may change, and of the data."""

    configuration: str | None = None
    data: str | None = None


def described(config: Any) -> dict[str, Any]:
    """The values of a configuration by dotted key, without the :data:`CHANGEABLE` ones.

    Where an option is a plugin's, with the SHA-256 of its code.
    """
    values = flat(config) | plugins.sources(config)
    return {key: values[key] for key in sorted(values) if key not in CHANGEABLE}


def places(config: Any) -> dict[str, Any]:
    """Where the data of a configuration lie, by dotted key."""
    values = flat(config)
    return {key: values[key] for key in PLACES if key in values}


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """All values of a configuration by dotted key, as JSON gives them back: tuples are lists."""
    nodes = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    return {k: list(v) if isinstance(v, tuple) else v for k, v in leaves(dict(nodes), prefix)}


def data_described(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """The digests in a fingerprint by dotted key, names left out; all values where it has none."""
    values = flat(fingerprint, "data.")
    return {key: value for key, value in values.items() if key.endswith("sha256")} or values


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of what :func:`described` or :func:`data_described` returns."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        LipsortError: it cannot be read, or is larger than any file of weights that is read.
    """
    with opened(path, LARGEST_WEIGHTS) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_weights(directory: Path, record: dict[str, Any]) -> None:
    """Make sure that the weights of a finished run are those that it ended with.

    Raises:
        LipsortError: a file was changed since, or is missing; it is named. Or there are weights,
            and none are recorded.
    """
    recorded = record.get("weights")
    recorded = recorded if isinstance(recorded, dict) else {}
    if not recorded and any(directory.rglob("*.safetensors")):
        raise LipsortError(
            f"{directory / 'run.json'} holds no SHA-256 of the run's weights (weights), so nothing "
            "says whether they were changed since; restore the file, or train again"
        )
    for name, allowed in recorded.items():
        path = directory / name
        found = file_digest(path)
        if found != allowed:
            raise LipsortError(
                f"{path}: found SHA-256 {found}, allowed {allowed}, as run.json holds it: the file "
                "was changed or damaged after the run; restore it, or train again"
            )


def differences(found: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """One line for each key that a run of ``recorded`` cannot go on with the ``found`` value of."""
    keys = sorted({**found, **recorded})
    return [
        f"{key}: found {found.get(key, _ABSENT)}, allowed {recorded.get(key, _ABSENT)}"
        for key in keys
        if found.get(key, _ABSENT) != recorded.get(key, _ABSENT)
    ]


# --- one process a directory ------------------------------------------------------------------

_held: dict[tuple[Path, int], list[int]] = {}
"""Locks of this process by directory and thread: file descriptor, and how often it was taken."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep every other process out of ``directory``; the folder is made where there is none.

    Folders that were made and have stayed empty go again at the end.

    The system's lock on the file :data:`LOCK`, which ends with the process however it ends: none
    is ever left over. The file is removed at the end, if the process is not killed. A thread may
    take a lock that it holds already.

    Raises:
        LipsortError: another process works there; it is named.
    """
    key = (Path(directory).resolve(), threading.get_ident())
    held, made = _held.get(key), list[Path]()
    if held is None:
        made = [path for path in (key[0], *key[0].parents) if not path.exists()]
        held = _held[key] = [_acquire(key[0]), 0]
    held[1] += 1
    try:
        yield
    finally:
        held[1] -= 1
        if not held[1]:
            del _held[key]
            with contextlib.suppress(OSError):
                os.unlink(key[0] / LOCK)
                for path in made:
                    path.rmdir()
            os.close(held[0])


def _acquire(directory: Path) -> int:
    path = directory / LOCK
    # Who only asks whether a lock is held holds it for a moment, and who ends removes the file.
    for _ in range(_TRIES):
        file = _open(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_ino == path.stat().st_ino:
                os.ftruncate(file, 0)
                os.write(file, f"{os.getpid()} {socket.gethostname()}\n".encode())
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in _BUSY:
                os.close(file)
                raise LipsortError(
                    f"cannot lock {path}: {error.strerror or error}; choose a folder of a file "
                    f"system with locks with {spelled()}"
                ) from error
        os.close(file)
        time.sleep(0.02)
    raise LipsortError(
        f"{directory}: {_named(path)} works in this run directory; wait for it, stop it, or choose "
        "another folder"
    )


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise write_error(path, error) from error


def holder(directory: Path) -> str | None:
    """The process that works in ``directory``, in words; None where there is none, or this one."""
    path = Path(directory) / LOCK
    if any(place == Path(directory).resolve() for place, _ in _held):
        return None
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _named(path) if error.errno in _BUSY else None
    finally:
        os.close(file)
    return None


def _named(path: Path) -> str:
    try:
        pid, host = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return "another process"
    return f"process {pid}" + ("" if host == socket.gethostname() else f" on {host}")
