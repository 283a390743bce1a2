"""Run directories on a command line, turned into overrides of Hydra's grammar.

`lipsort certify RUN` is ``run=RUN``; a command that takes many, `lipsort report A B`, gets
``runs=[A,B]``. Import this late: Hydra's parser is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from os.path import isdir, isfile
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from lipsort_cli import finding
from lipsort_cli.config import explain
from lipsort_cli.config.registry import Command
from lipsort_cli.errors import Instead, UsageError, first_line
from lipsort_cli.files import resolved, there
from lipsort_cli.quoting import quoted, word, word_list
from lipsort_cli.runs import RECORD


def with_runs(command: Command, overrides: list[str], query: bool) -> list[str]:
    """``overrides`` in which RUN arguments have become overrides; a run is found if none is given.

    Raises:
        UsageError: an argument that the command does not take, or that names no such run.
    """
    overrides = [_whole(command, text) for text in overrides]
    positional = [text for text in overrides if _is_run(text)]
    if command.many:
        return _many(command, overrides, positional, query)
    if not command.takes:
        if command.argument and len(positional) == 1:
            value = f"{command.argument}={_swept(_parts(positional[0]))}"
            return [value if text is positional[0] else text for text in overrides]
        if positional:
            raise UsageError(
                f"found {positional[0]!r}; `lipsort {command.name}` takes overrides such as "
                f"key=value only: see `lipsort {command.name} --help`",
                _instead(command, positional),
            )
        _refuse_paths(command, overrides)
        return overrides
    named = [text for text in overrides if text.startswith("run=")]
    if command.argument and positional:
        # The last is what it works on, unless it is a run and nothing else says what that is.
        alone = len(positional) + len(named) == 1 and isfile(resolved(positional[0]) / RECORD)
        if not alone:
            value = f"{command.argument}={_swept(_parts(positional[-1]))}"
            overrides = [value if text is positional[-1] else text for text in overrides]
            positional = positional[:-1]
    if len(positional) + len(named) > 1:
        given = ", ".join([*positional, *named])
        beside = f" before {command.argument.partition('.')[0].upper()}" if command.argument else ""
        raise UsageError(f"found {given}; allowed: one RUN directory{beside}")
    rest = [text for text in overrides if text not in positional and text not in named]
    argument = positional[0] if positional else None
    if named:
        argument = path_of(named[0])
    if query and argument is None:
        return rest
    wanted: list[str | None] = [None] if argument is None else [*_parts(argument)]
    found = [finding.find_run(one, command.takes, senseless=command.senseless) for one in wanted]
    return [f"run={_swept(map(str, found))}", *rest]


def _parts(text: str) -> list[str]:
    """The paths that an argument names: ``A,B`` two, for a sweep, where these are there."""
    parts = [text] if there(text) else text.split(",")
    return parts if all(map(there, parts)) else [text]


def _swept(paths: Iterable[str]) -> str:
    """Them as values of Hydra's, of a sweep where they are several."""
    return ",".join(map(quoted, paths))


def _instead(command: Command, positional: list[str]) -> tuple[Instead, ...]:
    """The overrides that the paths of a user's own data stand for."""
    own = explain.own_data(positional[0])
    if own and command.name in ("train", "wgan"):
        return ((positional[0], own),)
    if command.name == "estimate-wasserstein" and len(positional) == 2:
        p, q = positional
        if there(p) and there(q):
            first = ["distribution=files", f"distribution.p={word(p)}"]
            return (p, first), (q, [f"distribution.q={word(q)}"])
    return ()


def _refuse_paths(command: Command, overrides: list[str]) -> None:
    """Refuse ``data=FILE`` whose path Hydra would not read as one: what it means is plain."""
    for text in overrides if command.name in ("train", "wgan") else ():
        key, _, value = text.partition("=")
        own = explain.own_data(value) if key == "data" else []
        if own and (not _parses(text) or ("," in value and there(value))):
            words = f"data: found {value}; allowed: an option; your own files are {own[0]}"
            raise UsageError(words, ((text, own),))


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _whole(command: Command, text: str) -> str:
    """``data=FILE`` of a command whose argument is ``data.path`` is that argument; auto is null."""
    if text in ("model.widths=auto", "training.steps=auto"):
        return text.replace("auto", "null")
    short = command.argument and f"{command.argument.partition('.')[0]}="
    return command.argument + text[len(short) - 1 :] if short and text.startswith(short) else text


def _is_run(text: str) -> bool:
    """Whether an argument is no override; a folder may have ``=`` in its name."""
    return not text.startswith("~") and ("=" not in text or isdir(resolved(text)))


def path_of(override: str) -> str:
    """The path that ``key=PATH`` names: as it stands, or quoted in Hydra's grammar.

    Raises:
        UsageError: there is nothing behind ``=``.
    """
    key, _, text = override.partition("=")
    if not there(text):
        with suppress(HydraException):
            value = OverridesParser.create().parse_override(override).value()
            text = value if isinstance(value, str) else text
    if not text.strip():
        raise UsageError(f"{key}: found nothing behind {key}=; allowed: {key}=DIRECTORY")
    return text


def _many(command: Command, overrides: list[str], positional: list[str], query: bool) -> list[str]:
    """RUN arguments of a command that takes several, as ``runs=[...]``.

    Where it works on runs of certain commands, ``run`` is the first of them: its results go there.
    """
    listed = [text for text in overrides if text.startswith("runs=")]
    single = [text for text in overrides if text.startswith("run=")] if command.takes else []
    if sum(map(bool, (positional, listed, single))) > 1 or len(listed) + len(single) > 1:
        given = ", ".join([*positional, *listed, *single])
        raise UsageError(
            f"found {given}; allowed: either directories as arguments, or "
            f"{'run=DIRECTORY or ' if command.takes else ''}runs=[DIRECTORY,...]"
        )
    rest = [text for text in overrides if text not in (*positional, *listed, *single)]
    arguments: list[str] = positional
    if listed:
        arguments = _list(listed[0])
    elif single:
        arguments = [path_of(single[0])]
    if not command.takes:
        return [*([f"runs={word_list(arguments)}"] if arguments else []), *rest]
    if query and not arguments:
        return rest
    wanted: list[str | None] = [*arguments] if arguments else [None]
    found = [str(finding.find_run(argument, command.takes)) for argument in wanted]
    return [f"run={quoted(found[0])}", f"runs={word_list(found)}", *rest]


def _list(override: str) -> list[str]:
    """The values of ``runs=[A,B]``, or of ``runs=A``."""
    try:
        value: Any = OverridesParser.create().parse_override(override).value()
    except HydraException as error:
        raise UsageError(
            f"runs: found {override!r}; allowed: runs=[A,B] ({first_line(error)})"
        ) from error
    values = value if isinstance(value, list) else [value]
    texts = [str(getattr(item, "text", item)) for item in values if item is not None]
    if not all(texts) or len(texts) < max(1, len(values)):
        raise UsageError(f"runs: found {override!r}; allowed: directories, as in runs=[A,B]")
    return texts
