"""Completion for bash and zsh, from the catalogue alone: no Hydra, no torch.

The shell's script hands over the words of the line up to the cursor; the answer is one candidate a
line. Candidates that end in ``=``, ``.`` or ``/`` are to be continued, so no space follows them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lipsort_cli.cli.plain import PLAIN
from lipsort_cli.config import catalog, plugins
from lipsort_cli.config.registry import Command
from lipsort_cli.config.schema import COMMANDS, find
from lipsort_cli.config.tune import TUNED
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import make_folder, write_atomic

VARIABLE = "_LIPSORT_COMPLETE"
"""Set by the scripts to ask for candidates: ``bash`` or ``zsh``."""

_FLAGS = ("--help", "--multirun", "--cfg", "--resolve", "--info", "--package", "--config-dir",
          "--config-name", "--hydra-help")  # fmt: skip
_AFTER = {
    "--cfg": ("job", "hydra", "all"),
    "-c": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "-i": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
_HYDRA = ("hydra.run.dir=", "hydra.sweep.dir=", "hydra/launcher=", "hydra/sweeper=")
_PLUGINS = {
    "hydra/launcher": (("joblib", "joblib"), ("submitit_local", "submitit"),
                       ("submitit_slurm", "submitit")),
    "hydra/sweeper": (),
}  # fmt: skip

BASH = """\
# Completion of lipsort for bash.
_lipsort_complete() {
    local IFS=$'\\n'
    COMPREPLY=( $(_LIPSORT_COMPLETE=bash COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "${COMP_WORDS[0]}" 2>/dev/null) )
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _lipsort_complete lipsort
"""

ZSH = """\
#compdef lipsort
# Completion of lipsort for zsh.
_lipsort_complete() {
    local -a all open closed
    all=("${(@f)$(_LIPSORT_COMPLETE=zsh COMP_LINE="${(j: :)words[1,CURRENT]}" \\
        "${words[1]}" 2>/dev/null)}")
    open=("${(@M)all:#*[=./]}")
    closed=("${(@)all:#*[=./]}")
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    (( ${#closed} )) && compadd -- "${closed[@]}"
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _lipsort_complete lipsort
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH}


def answer(shell: str) -> None:
    """Print the candidates for the line that the environment describes."""
    line = os.environ.get("COMP_LINE", "")
    if shell == "bash":
        # bash counts the cursor in bytes.
        point = int(os.environ.get("COMP_POINT", len(line.encode())))
        line = line.encode()[:point].decode(errors="ignore")
    # readline replaces only what follows the last word break, such as the `=` of `data=`.
    breaks = os.environ.get("COMP_WORDBREAKS", "") if shell == "bash" else ""
    words, current, strip, quote = _cut(line, breaks)
    for candidate in candidates(words[1:], current):
        # A name that no terminal shows is offered by none: it could be anything, a new line too.
        if candidate.isprintable():
            rest = candidate[strip:]
            sys.stdout.write((_inserted(rest, quote) if shell == "bash" else rest) + "\n")


def _cut(line: str, breaks: str) -> tuple[list[str], str, int, str]:
    """A shell's line up to the cursor as its words, without quotes.

    Returns the words before the last, the last, how many of its characters lie before its last
    break, and the quote that is still open at the end.
    """
    words: list[str] = []
    current, strip, quote, started = "", 0, "", False
    letters = iter(line)
    for letter in letters:
        if quote == "'" or letter in ("'", '"'):
            if letter == quote or (not quote and letter in ("'", '"')):
                # What stands before an opening quote is kept as it is.
                quote, strip, started = "" if quote else letter, len(current), True
                continue
        elif letter == "\\":
            current, started = current + next(letters, ""), True
            continue
        elif letter.isspace() and not quote:
            if started:
                words.append(current)
            current, strip, started = "", 0, False
            continue
        current, started = current + letter, True
        if letter in breaks and not quote:
            strip = len(current)
    return words, current, strip, quote


_SAFE = frozenset("_./=,:@%+-")
"""Characters that no shell takes for anything but themselves, besides letters and digits."""


def _inserted(text: str, quote: str) -> str:
    """``text`` as bash is to put it on the line: nothing in it is a command, or two words."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return "".join(f"\\{c}" if c in '$`"\\' else c for c in text)
    start = "\\" if text[:1] == "~" else ""
    return start + "".join(c if c.isalnum() or c in _SAFE or c == "~" else f"\\{c}" for c in text)


def candidates(words: list[str], current: str) -> list[str]:
    """Whole words that may stand for ``current`` after ``lipsort WORDS...``, in order."""
    if not words:
        names = [name for c in COMMANDS.values() for name in (c.name, *c.aliases)]
        flags = ["--help", "--version", "--install-completion", "--show-completion"]
        names += PLAIN
        return _starting([*names, *flags], current)
    if words[-1] in ("--install-completion", "--show-completion"):
        return _starting(SCRIPTS, current)
    if words[0] in PLAIN:
        return _of_typer(words, current)
    command = find(words[0])
    if command is None:
        return _paths(current)
    with suppress(LipsortError):
        plugins.load(plugins.named(words))
    if words[-1] in _AFTER:
        return _starting(_AFTER[words[-1]], current)
    if words[-1] in ("--config-dir", "-cd"):
        return _paths(current)
    if current.startswith("-"):
        return _starting(_FLAGS, current)
    if command.name == "tune" and len(words) > 1 and find(words[1]) is not None:
        own = _values(command, words, current) if "=" in current else []
        own = own or _names(command, words, current)
        return list(dict.fromkeys([*candidates(words[1:], current), *own]))
    if "=" in current:
        return _values(command, words, current)
    if command.name == "tune":
        return _starting([*TUNED, "resume="], current)
    first = not any("=" in word or not word.startswith("-") for word in words[1:])
    wanted = command.many or (command.takes and first)
    runs = _runs(command, current) if wanted else []
    files = _paths(current) if command.argument and current else []
    return list(dict.fromkeys([*runs, *files, *_names(command, words, current)]))


def _of_typer(words: list[str], current: str) -> list[str]:
    """Options of a typed command, and the values that its parameters offer; else paths."""
    import typer

    from lipsort_cli.cli.application import app

    group: Any = typer.main.get_command(app)
    command = group.commands[words[0]]
    if current.startswith("-"):
        return _starting([text for p in command.params for text in p.opts], current)
    context = command.make_context(words[0], [], resilient_parsing=True)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    offered = [item.value for p in arguments for item in p.shell_complete(context, current)]
    return offered or _paths(current)


def _starting(options: Iterable[str], current: str) -> list[str]:
    return [option for option in options if option.startswith(current)]


def _all_keys(command: Command, words: list[str]) -> list[catalog.Key]:
    keys = list(catalog.plain_keys(command.name))
    for group, option in catalog.chosen_options(command.name, words).items():
        keys += catalog.option_keys(group, option)
    return keys


def _names(command: Command, words: list[str], current: str) -> list[str]:
    """Groups, keys and nodes: one level at a time, as a directory tree is completed."""
    sign = current[: len(current) - len(current.lstrip("+~"))]
    typed = current[len(sign) :]
    level = typed.rpartition(".")[0]
    prefix = f"{level}." if level else ""
    found: dict[str, None] = {}
    if not level:
        found |= dict.fromkeys(f"{group}=" for group in catalog.default_options(command.name))
    for key in _all_keys(command, words):
        if key.name.startswith(prefix):
            head, dot, _ = key.name[len(prefix) :].partition(".")
            found[f"{prefix}{head}{'.' if dot else '='}"] = None
    if typed.startswith("hydra"):
        found |= dict.fromkeys(_HYDRA)
    return [sign + name for name in _starting(found, typed)]


def _values(command: Command, words: list[str], current: str) -> list[str]:
    """Values of ``key=``; of a sweep ``key=a,b``, of its last element."""
    left, _, value = current.partition("=")
    key = left.lstrip("+~")
    done, comma, last = value.rpartition(",")
    prefix = f"{left}={done}{comma}"
    if key in catalog.default_options(command.name):
        offered = catalog.group_options(key, command.name)
    elif key in _PLUGINS:
        offered = _installed(key)
    else:
        entry = next((entry for entry in _all_keys(command, words) if entry.name == key), None)
        offered = [] if entry is None else list(entry.values)
        if not offered and (f"{key}=" in _HYDRA or (entry is not None and entry.is_path)):
            return [prefix + path for path in _paths(last)]
    return _starting((prefix + o for o in offered), prefix + last)


def _installed(group: str) -> list[str]:
    from importlib.util import find_spec

    names = ["basic"]
    for name, plugin in _PLUGINS[group]:
        try:
            if find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is not None:
                names.append(name)
        except ModuleNotFoundError:
            continue
    return names


def _runs(command: Command, current: str) -> list[str]:
    if not current:
        with_figures = tuple(one.name for one in COMMANDS.values() if one.objective)
        return catalog.run_directories(command.takes or with_figures)
    return [path for path in _paths(current) if path.endswith("/")]


def _paths(current: str) -> list[str]:
    """Files and folders that ``current`` may become; hidden ones only where asked for."""
    folder, slash, start = current.rpartition("/")
    base = Path(folder or ("/" if slash else ".")).expanduser()
    try:
        entries = sorted(base.iterdir())
    except OSError:
        return []
    return [
        f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(start) and (start or not entry.name.startswith("."))
    ]


def install(shell: str) -> Path:
    """Write the script, and make the shell's start file read it; returns the start file.

    The start file is only ever added to: what stands there stays, whatever its encoding.

    Raises:
        LipsortError: a file cannot be written, or the start file cannot be read.
    """
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    script = data / "lipsort" / f"completion.{shell}"
    make_folder(script.parent)
    write_atomic(script, SCRIPTS[shell])
    home = Path(os.environ.get("ZDOTDIR") or Path.home()) if shell == "zsh" else Path.home()
    start = home / f".{shell}rc"
    line = os.fsencode(f'[ -f "{script}" ] && source "{script}"')
    try:
        before = start.read_bytes() if start.exists() else b""
        if line not in before.splitlines():
            gap = b"" if before.endswith(b"\n") or not before else b"\n"
            with start.open("ab") as file:
                file.write(gap + line + b"\n")
    except OSError as error:
        raise LipsortError(
            f"{start}: {error.strerror or error}; it was left as it is: add the line\n"
            f"{os.fsdecode(line)}"
        ) from error
    return start
