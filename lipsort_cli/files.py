"""Files that are whole or absent: everything a run writes goes through here."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import socket
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from lipsort_cli.errors import LipsortError, UsageError, first_line
from lipsort_cli.quoting import spelled

LONGEST_NAME = 255
"""Bytes of a name that file systems take."""


def write_error(path: Path, error: OSError) -> LipsortError:
    """The message for a file that cannot be written: which, why, and what to do."""
    mine = "choose a folder that you may write to"
    advice = {
        errno.ENOSPC: "free some space, or choose another folder",
        errno.EDQUOT: "free some of your quota, or choose another folder",
        **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), mine),
    }.get(error.errno or 0, "choose another folder")
    reason = error.strerror or error
    return LipsortError(f"cannot write {path}: {reason}; {advice} with {spelled()}")


_TEMPORARY = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]+)-[^.]+\.part")
"""Names of files being written: whose machine, which process."""

_DEEPEST = 50
"""Levels of a YAML file; configurations have four."""

_MOST_VALUES = 100_000
"""Values of a YAML file, which are slow to read; configurations have hundreds."""

_BOMB = 2**28
"""Bytes that any compressed file may unpack to."""

_LARGEST = 2**24
"""Bytes of a JSON or YAML file; all but certificates are far smaller."""

LARGEST_WEIGHTS = 3 * 2**28
"""Bytes of a file of weights: as much as the verifier reads of one."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace ``path`` by ``data``, text as UTF-8, as :func:`replacing` does."""
    with replacing(path) as file:
        file.write(_encoded(data) if isinstance(data, str) else data)


def _encoded(text: str) -> bytes:
    """UTF-8; names of files keep their bytes, any other half of a surrogate pair is escaped."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which replaces ``path``: a reader sees the old file or the new one, whole.

    The bytes go to a temporary file in the same folder, reach the disk (fsync), and take the
    name by ``os.replace``, which reaches the disk as well. What a killed process left half written
    in the folder is removed.

    Raises:
        LipsortError: the file cannot be written; the old one is untouched, nothing is left over.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        _sweep(path.parent)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent,
            prefix=f".{path.name[:100]}.{_machine()}-{os.getpid()}-",
            suffix=".part",
        )
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a result is as readable as any other file of the user.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


_STANDING: list[Path] = []
"""Folders that relative paths of a configuration are looked for in, before the current one."""


@contextlib.contextmanager
def paths_from(folder: Path | None) -> Iterator[None]:
    """Look for relative paths in ``folder`` first: where the user stood who wrote them."""
    if folder is None:
        yield
        return
    _STANDING.append(folder)
    try:
        yield
    finally:
        _STANDING.pop()


def resolved(path: str | Path) -> Path:
    """A path that a person wrote: ``~`` is a home folder, a relative one may lie where they stood.

    Raises:
        UsageError: ``~name`` is nobody's home; or nothing is written, as of an empty variable of
            a shell.
    """
    if path == "":
        raise UsageError("found an empty path; allowed: a path, such as . for this folder")
    try:
        found = Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: {error}; write ./{path} for a name that starts so") from error
    for folder in reversed(_STANDING):
        if os.path.exists(folder / found):
            return folder / found
    return found


def there(word: str) -> bool:
    """Whether a word that a person wrote is the path of something that is there."""
    try:
        return os.path.exists(resolved(word))
    except UsageError:  # nobody's home, or nothing
        return False


def too_long(name: str, key: str = "") -> UsageError:
    """The message for a path, the value of ``key`` or a word, that no file can have."""
    found = f"{key}: found {name}" if key else f"found {name}"
    return UsageError(
        f"{found}, which is too long a name; allowed: names of at most {LONGEST_NAME} "
        "bytes in a path of at most 4095"
    )


def make_folder(path: Path) -> None:
    """Make the folder ``path``, and those above it.

    Raises:
        LipsortError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(Path(path), error) from error


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _sweep(folder: Path) -> None:
    """Remove the temporary files of processes of this machine that are no more."""
    with os.scandir(folder) as entries:
        found = [(entry.path, _TEMPORARY.fullmatch(entry.name)) for entry in entries]
    for path, match in found:
        if match and match[1] == _machine() and not _exists(int(match[2])):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk, where they are and the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    # Half a surrogate pair, such as a byte of a file's name, is an escape of JSON's.
    write_atomic(path, text.encode("utf-8", "backslashreplace"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table with every digit of its numbers, atomically."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    write_atomic(path, stream.getvalue())


def require_file(path: Path) -> os.stat_result:
    """What the system says of the file ``path``.

    Raises:
        LipsortError: it is missing, or no regular file: a pipe would be waited for, a device may
            be endless. Or it is large and nearly all of it was never written: such a file costs
            nothing to make, and hours to read.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise LipsortError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise LipsortError(f"cannot read {path}: {reason}") from error
    if not stat.S_ISREG(found.st_mode):
        raise LipsortError(f"{path}: found a {_kind(found.st_mode)}; allowed: a file")
    # Some file systems count no blocks at all.
    if 0 < 512 * found.st_blocks < found.st_size / 100 and found.st_size > _BOMB:
        raise LipsortError(
            f"{path}: found {found.st_size:,} bytes, of which {512 * found.st_blocks:,} were ever "
            f"written; allowed: a hundredth, or {_BOMB:,}; copy it (cp --sparse=never) if the "
            "zeros are meant"
        )
    return found


@contextlib.contextmanager
def readable(
    path: Path, kinds: type[Exception] | tuple[type[Exception], ...] = Exception, fault: str = ""
) -> Iterator[None]:
    """Read a foreign file in the block: what its reader raises, of ``kinds``, becomes one message.

    ``fault``: what it is not; empty: what its ending says.

    Raises:
        UsageError: it is no regular file, or damaged; a key of the configuration names it.
    """
    try:
        require_file(path)
        yield
    except LipsortError as error:
        raise UsageError(str(error)) from error
    except kinds as error:  # readers raise what they happen to raise
        reason = first_line(error)
        reason += "; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        said = f": {fault} ({reason})" if fault else f" cannot be read as {path.suffix}: {reason}"
        raise UsageError(f"{path}{said}") from error


def refuse_bomb(path: Path, unpacked: int) -> None:
    """Refuse a compressed file that says that it unpacks to far more than it holds.

    Raises:
        UsageError: ``unpacked`` bytes are more than :data:`_BOMB`, and a hundred times its size.
    """
    size = path.stat().st_size
    if unpacked > max(_BOMB, 100 * size):
        raise UsageError(
            f"{path}: found {size:,} bytes that unpack to {unpacked:,}; allowed: at most a hundred "
            f"times as many, or {_BOMB:,}; save it without compression if it is meant"
        )


def read_bytes(path: Path, most: int = _LARGEST) -> bytes:
    """The whole content of the file ``path``.

    Raises:
        LipsortError: it is missing or cannot be read, is no regular file, or holds more than
            ``most`` bytes.
    """
    with opened(Path(path), most) as file:
        return file.read()


@contextlib.contextmanager
def opened(path: Path, most: int) -> Iterator[io.BufferedReader]:
    """The file ``path``, open for reading.

    Raises:
        LipsortError: as :func:`read_bytes`, whatever part of it is read.
    """
    size = require_file(path).st_size
    if size > most:
        raise LipsortError(f"{path}: found {size:,} bytes; allowed: at most {most:,}")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise LipsortError(f"cannot read {path}: {error.strerror or error}") from error


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of the file ``path``, one by one; those of more than a mebibyte in pieces.

    Raises:
        LipsortError: it is missing or cannot be read, is no regular file, or too large for a log.
    """
    with opened(path, 2**30) as file:
        yield from iter(lambda: file.readline(2**20), b"")


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"))
    return next((name for test, name in kinds if test(mode)), "device")


def read_json(path: Path, most: int = _LARGEST) -> dict[str, Any]:
    """The object that the JSON file ``path`` holds, as all that lipsort writes do.

    Raises:
        LipsortError: the file is missing, unreadable, no JSON, or holds another value.
    """
    content = read_bytes(path, most)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:  # the latter: nested too deeply to be ours
        raise LipsortError(f"{path}: not a JSON file, or a damaged one ({error})") from error
    if not isinstance(found, dict):
        raise LipsortError(f"{path}: damaged: found {content[:20]!r}, no JSON object")
    return found


def read_yaml(path: Path) -> Any:
    """The value that the YAML file ``path`` holds: plain data without aliases.

    An alias may stand for a copy of copies of copies; no file that a run saves has any.

    Raises:
        LipsortError: the file is missing, unreadable, or no such YAML.
    """
    import yaml

    content = read_bytes(path)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if b"\\uDC" in content:  # a byte of a file's name, which C's library refuses
        loader = yaml.SafeLoader
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(content, loader)):
            if count > _MOST_VALUES:
                raise ValueError(f"more than {_MOST_VALUES:,} values")
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError(f"more than {_DEEPEST} levels")
        return yaml.load(content, loader)
    except (ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise LipsortError(
            f"{path}: not a YAML file, or a damaged one ({first_line(error)})"
        ) from error
