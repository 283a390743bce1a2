"""What Hydra wrote for a command that was then refused, taken back.

Hydra saves the configuration before the command runs. A command that works on another's run
directory saves it there, so that a refusal would leave a configuration of results that do not
exist, or replace that of results which do.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def undone_unless_finished(folder: Path | None) -> Iterator[None]:
    """If the body raises, leave ``folder`` as it was: its files, or no folder at all.

    Directories above it that did not exist before go too, unless something else is in them.
    ``None``: nothing is taken back.
    """
    if folder is None:
        yield
        return
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    before = _contents(folder)
    try:
        yield
    except BaseException:
        # What cannot be taken back must not hide why.
        with suppress(OSError):
            _restore(folder, before)
            for path in absent[1:]:
                path.rmdir()
        raise


def _contents(folder: Path) -> dict[Path, bytes] | None:
    if not folder.is_dir():
        return None
    return {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _restore(folder: Path, before: dict[Path, bytes] | None) -> None:
    if before is None:
        if folder.is_dir():
            shutil.rmtree(folder)
        return
    for path, data in before.items():
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
