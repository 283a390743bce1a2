"""How a command finds the run that it works on."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

from lipsort_cli.config.catalog import run_directories
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import LONGEST_NAME, resolved, too_long
from lipsort_cli.identity import check_weights, holder
from lipsort_cli.runs import RECORD, read_record, require_provable


def find_run(
    argument: str | None,
    commands: tuple[str, ...],
    root: Path = Path("outputs"),
    senseless: str = "",
) -> Path:
    """The absolute directory of the finished run that a command works on, its weights intact.

    ``argument`` names it; None takes the newest finished run of ``commands`` under ``root``, and
    says on screen which one that is. ``senseless`` says why runs of other commands are no use.

    Raises:
        UsageError: no such run, no run at all, a run of another command, or one unfinished.
        LipsortError: its weights are not those that it ended with.
    """
    wanted = " or ".join(f"`lipsort {command}`" for command in commands)
    if argument is None:
        newest = _newest(commands, Path(root), lambda _, record: record["status"] == "finished")
        if newest is None:
            raise UsageError(
                f"no finished run of {wanted} under {Path(root).resolve()}; "
                f"name a run directory, or run `lipsort {commands[0]}` first"
            )
        from lipsort_cli.console import console

        console.print(f"Newest finished run: {newest}", soft_wrap=True)
        directory, record = newest, read_record(newest)
    else:
        directory = resolved(argument)
        if fault := _no_run(directory):
            raise UsageError(f"{directory}{fault}; give the directory of a run of {wanted}")
        try:
            record = read_record(directory)
        except LipsortError as error:
            raise UsageError(str(error)) from error
        if record["command"] not in commands:
            reason = f": {senseless}" if senseless else ""
            raise UsageError(
                f"{directory} is a run of `lipsort {record['command']}`{reason}; "
                f"give the directory of a run of {wanted}"
            )
    if record["status"] != "finished":
        from lipsort_cli.console import command_line

        again = command_line("lipsort", record["command"], ("resume", directory))
        resume = f"finish it with `{again}`"
        process = holder(directory)
        advice = resume if process is None else f"wait for {process}"
        how = _progress(record, process is not None)
        raise UsageError(f"{directory}: the run {how}, not finished; {advice}")
    check_weights(directory, record)
    require_provable(directory)
    return directory.resolve()


def _no_run(directory: Path) -> str:
    """Why a path is that of no run, behind its name; empty where it is one's."""
    try:
        directory.stat()
    except OSError as error:
        lacking = error.errno in (errno.ENOENT, errno.ENOTDIR)
        return ": no such directory" if lacking else f": {str(error.strerror).lower()}"
    if not isdir(directory):
        return " is a file"
    return "" if isfile(directory / RECORD) else f" is no run directory: it holds no {RECORD}"


def usable_folder(key: str, text: str) -> Path:
    """The folder that ``key`` names, which need not be there yet.

    Raises:
        UsageError: it is none, or can never be.
    """
    if not text:
        raise UsageError(f"{key}: found nothing; allowed: {key}=FOLDER")
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in Path(text).parts):
        raise too_long(text, key)
    return Path(text)


def _progress(record: dict[str, Any], alive: bool) -> str:
    """How an unfinished run stands; a process that was killed could not record it."""
    if record["status"] != "running" or alive:
        return f"is {record['status']}"
    if record.get("host") not in (None, socket.gethostname()):
        return f"was last seen running on {record['host']}"
    return "was killed"


def unfinished(command: str, digest: str, root: Path = Path("outputs")) -> Path | None:
    """The newest run of ``command`` of the configuration of this SHA-256 that can be gone on with.

    None where there is none, or where a process works in it.
    """

    def fits(directory: Path, record: dict[str, Any]) -> bool:
        same = record.get("configuration", {}).get("sha256") == digest
        return same and record["status"] != "finished" and holder(directory) is None

    return _newest((command,), Path(root), fits)


def _newest(
    commands: tuple[str, ...], root: Path, fits: Callable[[Path, dict[str, Any]], bool]
) -> Path | None:
    """The run of ``commands`` that began last, of those under ``root`` that ``fits`` takes."""
    found = []
    for directory in map(Path, run_directories(commands, root)):
        with contextlib.suppress(LipsortError):
            record = read_record(directory)
            if record["command"] in commands and fits(directory, record):
                found.append((str(record.get("start", "")), directory))
    return max(found)[1] if found else None
