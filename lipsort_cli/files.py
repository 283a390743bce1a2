"""Files that are whole or absent: everything a run writes goes through here."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError


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
