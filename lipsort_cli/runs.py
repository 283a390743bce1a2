"""Run directories: their record ``run.json``, and how they are found.

Nothing here imports torch. Whoever reads a file of a run may rely on it being complete, because
every file is replaced atomically (:mod:`lipsort_cli.files`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from os.path import isdir
from pathlib import Path
from typing import Any

from lipsort_cli.errors import Interrupted, LipsortError, UsageError, first_line
from lipsort_cli.files import read_json, read_yaml, write_json
from lipsort_cli.identity import (
    Identity,
    data_described,
    described,
    differences,
    digest,
    file_digest,
    locked,
    places,
)
from lipsort_cli.versions import commit, versions

RECORD = "run.json"
"""Name of the record in a run directory."""

RESULTS = "results.json"
"""Name of the file that holds the figures of a run."""

UNPROVEN = "no_certificate"
"""The key of ``results.json`` that says why nothing can be proven of a run's network."""


def require_provable(directory: Path) -> None:
    """Refuse a run whose network the verifier has no operations for.

    Raises:
        UsageError: with the reason, as the run recorded it.
    """
    path = Path(directory) / RESULTS
    found = read_json(path) if path.is_file() else {}
    if UNPROVEN in found:
        raise UsageError(f"{directory}: no certificate: {found[UNPROVEN]}")


_begins: ContextVar[Callable[[], None] | None] = ContextVar("begins", default=None)


@contextlib.contextmanager
def beginning(action: Callable[[], None]) -> Iterator[None]:
    """Have ``action`` called when a record is begun within the block: nothing is refused then."""
    token = _begins.set(action)
    try:
        yield
    finally:
        _begins.reset(token)


@contextlib.contextmanager
def claimed(directory: Path, command: str, config: Any) -> Iterator[str]:
    """Have ``directory`` for the run of ``command`` that ``config`` describes, and no one else.

    To be entered before anything is written there, ``.hydra`` included. Yields how that run stands:
    ``new``, ``unfinished`` (it is continued), or ``finished`` (nothing is left to do).

    Raises:
        LipsortError: another process works in the directory.
        UsageError: it holds another run; every key that differs is named.
    """
    with locked(directory):
        if not (Path(directory) / RECORD).exists():
            yield "new"
            return
        earlier = read_record(directory)
        _same_run(directory, earlier, command, config)
        if earlier["status"] == "finished":
            _same_places(directory, earlier, config)
        yield "finished" if earlier["status"] == "finished" else "unfinished"


def _same_run(directory: Path, earlier: dict[str, Any], command: str, config: Any) -> None:
    """Refuse to go on with the run of another command or configuration."""
    if earlier["command"] != command:
        raise UsageError(
            f"{directory} holds a run of `lipsort {earlier['command']}`; "
            f"choose another folder for `lipsort {command}`"
        )
    recorded = earlier.get("configuration")
    if config is None or not isinstance(recorded, dict):
        return
    found = described(config)
    if digest(found) == recorded.get("sha256"):
        return
    lines = differences(found, recorded.get("values", {})) or ["configuration: found an edited one"]
    raise UsageError(
        f"{directory} holds a run of another configuration, which cannot be gone on with as this "
        "one; choose another folder, or give what it was begun with:\n  " + "\n  ".join(lines)
    )


def _same_places(directory: Path, earlier: dict[str, Any], config: Any) -> None:
    """Refuse a finished run as the result for data from elsewhere, which no one has looked at."""
    recorded = earlier.get("configuration")
    if getattr(config, "resume", None) is not None or not isinstance(recorded, dict):
        return
    lines = differences(places(config), recorded.get("places", {}))
    if lines:
        raise UsageError(
            f"{directory} holds a finished run on data from elsewhere; choose another folder, or "
            "give what it was begun with:\n  " + "\n  ".join(lines)
        )


def _same_data(directory: Path, earlier: dict[str, Any], data: dict[str, Any] | None) -> None:
    """Refuse to go on with other data."""
    recorded = earlier.get("data")
    if data is None or not isinstance(recorded, dict):
        return
    lines = differences(data_described(data), data_described(recorded))
    if lines:
        raise LipsortError(
            f"{directory} was trained on other data than {data.get('name')} holds now; restore the "
            "data, or start a new run:\n  " + "\n  ".join(lines)
        )


class RunRecord:
    """``run.json``: what a run is, and how far it came.

    Keys: ``command``, ``status`` (``running``, ``finished``, ``interrupted``, ``failed``),
    ``versions``, ``start`` (UTC, ISO 8601, of the first start), ``seconds`` (spent in all starts),
    ``host`` and ``pid`` of the latest start; where they are known ``commit``, ``device``, ``seed``,
    ``configuration`` (``values`` by key, less what may change, their ``sha256``, and the ``places``
    of the data), ``data`` (the fingerprint, with SHA-256s); ``weights`` (SHA-256 by file) and
    ``results`` (that of ``results.json``) of a finished run; ``resumed`` (how often) and ``reason``
    (of a failure) where they apply.
    """

    def __init__(self, directory: Path, values: dict[str, Any]) -> None:
        self.directory = Path(directory)
        self.values = values
        self._before = float(values.get("seconds", 0.0))
        self._began = time.monotonic()

    @property
    def identity(self) -> Identity:
        """What the run's checkpoints must agree with."""
        configuration, data = self.values.get("configuration"), self.values.get("data")
        return Identity(
            configuration["sha256"] if configuration else None,
            digest(data_described(data)) if data else None,
        )

    @classmethod
    def start(
        cls,
        directory: Path,
        command: str,
        *,
        config: Any = None,
        data: dict[str, Any] | None = None,
        **known: Any,
    ) -> RunRecord:
        """Record that ``command`` runs in ``directory`` from now on.

        The record of the same run that is already there is continued: first start and seconds
        spent are kept. ``config``: the run's whole configuration, a dataclass; ``data``: their
        fingerprint; ``known``: further keys: ``device``, and ``seed`` that no configuration has.

        Raises:
            UsageError: the directory holds the run of another command or configuration.
            LipsortError: it was trained on other data, or the record cannot be written.
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
            _same_run(directory, earlier, command, config)
            _same_data(directory, earlier, data)
            values["start"] = earlier.get("start", values["start"])
            values["seconds"] = earlier.get("seconds", 0.0)
            values["resumed"] = int(earlier.get("resumed", 0)) + 1
        values |= {"host": socket.gethostname(), "pid": os.getpid(), "versions": versions()}
        known = {"commit": commit(), "seed": getattr(config, "seed", None), "data": data} | known
        if config is not None:
            found = described(config)
            known["configuration"] = {
                "sha256": digest(found),
                "values": found,
                "places": places(config),
            }
        values |= {key: value for key, value in known.items() if value is not None}
        if (action := _begins.get()) is not None:
            action()
        record = cls(directory, values)
        record._write()
        return record

    def finish(self) -> None:
        """The run came to its end; its weights are what they are now."""
        found = sorted(self.directory.rglob("*.safetensors"))
        # Samples of a certificate are no weights: a certificate holds their digests itself.
        weights = [path for path in found if path.name != "certificate-data.safetensors"]
        if weights:
            self.values["weights"] = {
                path.relative_to(self.directory).as_posix(): file_digest(path) for path in weights
            }
        if (path := self.directory / RESULTS).is_file():
            self.values["results"] = file_digest(path)
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
        **known: Any,
    ) -> Iterator[RunRecord]:
        """:meth:`start` a record; finish it, or mark it interrupted or failed as the block ends.

        The directory is locked meanwhile.

        Exceptions pass through. When even the record cannot be written (a full disk), the first
        failure is the one that is reported.
        """
        with locked(directory):
            record = cls.start(directory, command, **known)
            try:
                yield record
            except (KeyboardInterrupt, Interrupted):
                with contextlib.suppress(LipsortError):
                    record.interrupt()
                raise
            except BaseException as error:
                with contextlib.suppress(LipsortError):
                    record.fail(first_line(error))
                raise
            else:
                record.finish()


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("command", "status", "start", "host", "reason", "device", "commit"), str),
    **dict.fromkeys(("versions", "data"), dict),
    "pid": int,
    "resumed": int,
    "seconds": (int, float),
}
"""Types of a record's values, for those who rely on them."""


def read_record(directory: Path) -> dict[str, Any]:
    """The record of the run in ``directory``.

    Raises:
        LipsortError: there is none, or it is damaged.
    """
    path = Path(directory) / RECORD
    record = read_json(path)
    if not {"command", "status"} <= set(record):
        raise LipsortError(f"{path}: not the record of a lipsort run")
    for key, kind in _KINDS.items():
        if key in record and not isinstance(record[key], kind):
            raise LipsortError(f"{path}: damaged: {key} is {str(record[key])[:60]!r}")
    seconds = record.get("seconds", 0.0)
    if not 0 <= seconds < float("inf"):
        raise LipsortError(f"{path}: damaged: seconds is {seconds!r}")
    return record


def of_hydra(directory: Path, *keys: str) -> Any:
    """What Hydra saved of itself in ``directory`` below ``keys``; None where there is none."""
    node: Any = None
    with contextlib.suppress(LipsortError):
        node = read_yaml(Path(directory) / ".hydra" / "hydra.yaml")
    for key in ("hydra", *keys):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def started_in(directory: Path) -> Path | None:
    """The folder that the run in ``directory`` was started in, if it says so and is still there."""
    found = of_hydra(directory, "runtime", "cwd")
    return Path(found) if isinstance(found, str) and isdir(found) else None
