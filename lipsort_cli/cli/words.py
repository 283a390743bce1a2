"""Command lines that mean something, but in another tool's grammar: refused, with ours shown.

`--epochs 5`, `lr = 0.1`, `model.widths=[64, 64]` unquoted: each is answered by the line that works.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from lipsort_cli.config import catalog
from lipsort_cli.config.meant import keys_like
from lipsort_cli.config.registry import Command
from lipsort_cli.console import command_line, warn
from lipsort_cli.errors import UsageError
from lipsort_cli.files import there


def check(command: Command, arguments: list[str], flags: argparse.ArgumentParser) -> None:
    """Refuse ``arguments`` of another grammar.

    Raises:
        UsageError: with the line that would have worked.
    """
    found: list[str] = []
    mended = list(_mended(command, arguments, flags._option_string_actions, found))
    if found:
        raise UsageError(
            f"found {', '.join(found)}; allowed: KEY=VALUE, one word without spaces around =\n"
            f"try: {command_line('lipsort', command.name, *mended)}"
        )


def once(overrides: list[str]) -> None:
    """Warn of keys that have two values: Hydra takes the last without a word."""
    given: dict[str, list[str]] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        values = given.setdefault(key.lstrip("+"), [])
        if equals and value not in values:
            values.append(value)
    for key, values in given.items():
        if len(values) > 1:
            warn(f"{key}: found {' and '.join(values)}; the last counts")


def with_line(error: UsageError, command: Command, arguments: list[str]) -> UsageError:
    """``error``, ending with the line that would have worked, where all its faults say how."""
    if not error.instead:
        return error
    mended = list(arguments)
    for word, others in error.instead:
        if word not in mended:
            return error
        position = mended.index(word)
        mended[position : position + 1] = [w for w in others if w == word or w not in mended]
    return UsageError(f"{error}\ntry: {command_line('lipsort', command.name, *mended)}")


def _mended(
    command: Command, arguments: list[str], flags: dict[str, argparse.Action], found: list[str]
) -> Iterator[str]:
    """The words of ``arguments`` in our grammar; ``found``: those that were in another."""
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name.startswith("-") and not any(flag.startswith(name) for flag in flags):
            bare = name.lstrip("-")
            off = bare.startswith("no-")
            key = _key(command, bare.removeprefix("no-"))
            if key is None:
                if there(word):
                    found.append(repr(word))
                    word = f"./{word}"
                yield word
                continue
            if off:
                found.append(repr(word))
                yield f"{key}=false"
                continue
            if not equals and words and not _is_flag(words[0]) and "=" not in words[0]:
                value = words.pop(0)
                word = f"{word} {value}"
            found.append(repr(word))
            yield f"{key}={value or 'true'}"
        elif word in flags:
            yield word
            takes_value = flags[word].nargs != 0
            if takes_value and words and "=" not in words[0] and not words[0].startswith("-"):
                yield words.pop(0)
        elif (several := _several(command, word)) not in ([], [word]):
            found.append(repr(word))
            yield from several
        elif (split := _without_sign(command, word, words)) is not None:
            key, value, taken = split
            found.append(repr(" ".join([word, *words[:taken]])))
            del words[:taken]
            yield f"{key}={value}"
        elif words and _continues(word, words[0]):
            joined = word
            while words and _continues(joined, words[0]):
                gap = "" if joined.endswith((",", "[", "=")) or words[0][:1] in "=,]" else ","
                gap = gap if joined.count("[") > joined.count("]") else ""
                joined += gap + words.pop(0)
            found.append(repr(joined))
            name, _, value = joined.partition("=")
            yield f"{_key(command, name) or name}={value}"
        else:
            yield word


def _without_sign(command: Command, word: str, following: list[str]) -> tuple[str, str, int] | None:
    """Key and value of `seed 3`, `seed: 3`, `seed:3` and `seed==3`, and how many words follow."""
    name, sign, value = word.partition("==" if "==" in word else ":")
    path = "=" in name or there(word) or name in ("run", "runs")
    key = None if path else _key(command, name)
    if key is None or (sign == "==" and not value):
        return None
    if value:
        return key, value, 0
    if following and not _is_flag(following[0]) and "=" not in following[0]:
        return key, following[0], 1
    return None


def _several(command: Command, word: str) -> list[str]:
    """The overrides that stand in one word, `seed=3; data=toy`; none where a value is text."""
    if not re.search("[\\s;'\"]|,$", word):
        return []
    bare = word[1:-1] if re.fullmatch("'.*'|\".*\"", word) else word
    parts = [part for part in re.split(r"[,;]?\s+|;|,$", bare) if part]
    keys = [part.partition("=")[0] for part in parts if "=" in part]
    whole = len(keys) == len(parts) and word.count("[") == word.count("]")
    known = whole and all(_key(command, key) == key for key in keys)
    return parts if known and not any(catalog.is_text(command.name, key) for key in keys) else []


def _is_flag(word: str) -> bool:
    """Whether a word is an option, and no negative number."""
    return word.startswith("-") and not word[1:2].isdigit()


def _continues(word: str, following: str) -> bool:
    """Whether a shell has cut one override into these two words."""
    if word.startswith("-") or following.startswith("-"):
        return False
    if "=" not in word:
        return following.startswith("=")
    if word.endswith("=") and word.count("=") == 1:
        return "=" not in following
    return word.count("[") > word.count("]")


def _key(command: Command, name: str) -> str | None:
    """The whole key that ``name`` is, or is the end of."""
    groups = catalog.default_options(command.name)
    keys = (key.name for key in catalog.all_keys(command.name))
    return next(iter(keys_like(name, [*groups, *keys, "hydra.run.dir"])), None)
