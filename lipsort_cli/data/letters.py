"""Names that read the same: an accented letter is one character in some files, two in others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from unicodedata import normalize


def as_written(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """``names`` as ``known`` write them, where one of these is canonically equivalent.

    What is known letter for letter, or as several that read the same, or not at all, stays.

    Example:
        >>> as_written(["e\\u0301", "x"], ["\\u00e9"]) == ["\\u00e9", "x"]
        True
    """
    alike: dict[str, list[str]] = {}
    for name in known:
        alike.setdefault(normalize("NFC", name), []).append(name)
    exact = set(known)
    found = []
    for name in names:
        others = alike.get(normalize("NFC", name), [])
        found.append(others[0] if name not in exact and len(others) == 1 else name)
    return found
