"""Text as Hydra's override grammar takes it: what is shown to be typed is quoted here, or nowhere.

A whole command line for a shell, with paths from where the user stands: ``console.command_line``.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

_PLAIN = re.compile(r"[\w./+@%-]+", re.ASCII)
"""Words that need no quotes, unless they are others than text."""

_OTHER = re.compile(
    r"null|true|false|[+-]?(inf|nan|(\d[\d_]*\.?|[\d_]*\.\d[\d_]*)(e[+-]?\d[\d_]*)?)",
    re.IGNORECASE | re.ASCII,
)
"""What the grammar reads as nothing, as true or false, or as a number."""

_SAME = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
"""Numbers that are the same text again."""


def quoted(value: str) -> str:
    """``value`` as a quoted string of Hydra's override grammar."""
    # Backslashes are themselves, but before a quotation mark, the closing one included.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value)
    return f"'{escaped}'"


def word(value: str) -> str:
    """``value`` as a word that Hydra reads as this text: as it stands where it can, else quoted."""
    text = _PLAIN.fullmatch(value) and (_SAME.fullmatch(value) or not _OTHER.fullmatch(value))
    return value if text else quoted(value)


def word_list(values: Iterable[str]) -> str:
    """``values`` as a list of texts in Hydra's override grammar."""
    return f"[{','.join(map(word, values))}]"


def list_override(key: str, values: Iterable[str]) -> str:
    """``key=[...]`` with texts, as it is typed in a shell: quoted there only if it has quotes."""
    text = f"{key}={word_list(values)}"
    if "'" not in text:
        return text
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


def setting(group: str, name: str, value: str = "") -> str:
    """An option of ``group`` as it is written, alone or with a value: ``data.gaps=drop``.

    Without a group it is an argument in Python: ``gaps="drop"``.
    """
    if value and not group and not re.match(r"[\[\d]", value):
        value = f'"{value}"'
    return ".".join(filter(None, (group, name))) + (f"={value}" if value else "")


_in_python: ContextVar[bool] = ContextVar("in_python", default=False)


@contextlib.contextmanager
def called_from_python() -> Iterator[None]:
    """Have messages within the block say what is written in Python, not in a shell."""
    token = _in_python.set(True)
    try:
        yield
    finally:
        _in_python.reset(token)


_folder: ContextVar[str] = ContextVar("folder", default="hydra.run.dir=FOLDER")


@contextlib.contextmanager
def folder_given_by(words: str) -> Iterator[None]:
    """Have messages within the block say ``words`` where they tell to choose another folder."""
    token = _folder.set(words)
    try:
        yield
    finally:
        _folder.reset(token)


def spelled(shell: str = "", python: str = "directory=FOLDER") -> str:
    """What a message tells to write, by default for another folder: in a shell, or in Python."""
    return python if _in_python.get() else shell or _folder.get()
