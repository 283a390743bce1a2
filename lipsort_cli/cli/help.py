"""The help pages of the commands and of all: from the catalogue, so they cannot fall behind."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from lipsort_cli.cli.plain import PLAIN, said_of
from lipsort_cli.config import catalog
from lipsort_cli.config.options import REQUIRED
from lipsort_cli.config.registry import Command
from lipsort_cli.config.schema import COMMANDS, GROUPS
from lipsort_cli.config.validate import allowed
from lipsort_cli.errors import UsageError
from lipsort_cli.pages import page, table

_FLAGS = (
    ("-m, --multirun", "run every combination of comma-separated values"),
    ("--cfg job", "show the configuration instead of running (--resolve, -p NODE)"),
    ("--info", "show how the configuration is put together"),
    ("--config-dir DIR", "a folder of your own presets and options, beside those here"),
    ("hydra.run.dir=DIR", "put this run's results there"),
    ("hydra/launcher=NAME", "run sweeps with joblib, submitit_local, submitit_slurm (extra)"),
)

_OPTIONS = (
    ("-h, --help", "this page"),
    ("--version", "the version"),
    ("--install-completion SHELL", "complete commands and keys in bash or zsh"),
    ("--show-completion SHELL", "print the completion script instead"),
)

_SCREEN = 80
"""Columns of the narrowest terminal that pages are laid out for."""


def show(command: Command, words: list[str]) -> None:
    """The page of ``lipsort COMMAND WORDS... --help``: the keys of the options that are chosen.

    Usage, examples and groups come first, and fit a screen of 80x24; then the keys.
    """
    out = page()
    run = ("\\[RUN]... " if command.many else "\\[RUN] ") if command.takes or command.many else ""
    run += f"{command.argument.partition('.')[0].upper()} " if command.argument else ""
    run = "COMMAND " if command.name == "tune" else run
    out.print(f"[bold]Usage:[/] lipsort {command.name} {run}\\[KEY=VALUE]... \\[FLAG]...")
    also = f" Also called {', '.join(command.aliases)}." if command.aliases else ""
    out.print(command.help + also)
    if command.many and not command.takes:
        out.print("RUN is a run directory, or a folder that holds runs; without it, outputs.")
    elif command.takes:
        whose = " or ".join(f"lipsort {name}" for name in command.takes)
        out.print(f"RUN is the directory of a finished run of {whose}; without it, the newest.")
        if command.many:
            out.print("The first RUN gets the results, the others are compared with it.")
    _examples(out, command)
    chosen = catalog.chosen_options(command.name, words)
    refuse = [
        f"{group}: found {option}; allowed: {', '.join(catalog.group_options(group, command.name))}"
        for group, option in chosen.items()
        if group in GROUPS
        and option not in (catalog.NONE, *catalog.group_options(group, command.name))
    ]
    if refuse:
        raise UsageError("\n".join(refuse))
    _groups(out, command.name, {group: o for group, o in chosen.items() if group in GROUPS})
    _keys(out, command, chosen)
    _presets(out, command)
    out.print("\n[bold]Hydra's flags[/], all of which work (see --hydra-help)")
    out.print(table(_FLAGS))


def _examples(out: Console, command: Command) -> None:
    out.print("[bold]Examples[/]")
    width = max(len(line) for _, line in command.examples)
    for text, line in command.examples:
        if width + len(text) + 6 <= _SCREEN:
            out.print(f"  [green]{escape(line.ljust(width))}[/]  [dim]# {escape(text)}[/]")
        else:
            out.print(f"  [dim]# {escape(text)}[/]\n  [green]{escape(line)}[/]")


def _groups(out: Console, command: str, chosen: dict[str, str]) -> None:
    if not chosen:
        return
    out.print("[bold]Groups[/]: choose with GROUP=OPTION; what is chosen comes first")
    rows = []
    for group, option in chosen.items():
        others = [other for other in catalog.group_options(group, command) if other != option]
        rows.append((group, ", ".join([f"[magenta]{option}[/]", *others])))
    out.print(table(rows))


_OTHERS = {"critic": "critic=gp", "model": "model=cnn", "data": "data=npz"}
"""Another option, by a group that a command may have: an example."""


def _keys(out: Console, command: Command, chosen: dict[str, str]) -> None:
    given = catalog.primary_values(command.name)
    keys: list[catalog.Key] = []
    for group, option in chosen.items():
        keys += catalog.option_keys(group, option, values=True)
    keys += catalog.plain_keys(command.name)
    nodes: dict[str, list[catalog.Key]] = {}
    for key in keys:
        nodes.setdefault(key.name.rpartition(".")[0], []).append(key)
    top = nodes.pop("", [])
    out.print("\n[bold]Keys[/]: set with NODE.KEY=VALUE; shown are default, meaning and range")
    if chosen:
        other = next(o for g, o in _OTHERS.items() if g in chosen)
        out.print(
            "Groups have the keys of the options that are chosen; those of others: "
            f"lipsort {command.name} {other} --help",
            style="dim",
        )
    width = max((len(_short(key)) for key in keys), default=0)
    for node, members in [("", top), *nodes.items()]:
        if node:
            option = f" [dim]({node}={chosen[node]})[/]" if node in chosen else ""
            out.print(f"  [bold]{node}.[/]{option}")
        rows = [_row(key, width, given.get(key.name, key.default)) for key in members]
        out.print(table(rows, styles=("cyan", "magenta"), indent=4 if node else 2))


def _short(key: catalog.Key) -> str:
    return key.name.rpartition(".")[2]


def _row(key: catalog.Key, width: int, value: object) -> tuple[str, str, str]:
    default = "required" if value == REQUIRED else _shown(value)
    limits = allowed(key.field.metadata)
    text = key.help.replace("[", "\\[")
    if limits:
        text += f" [dim]({limits})[/]"
    return _short(key).ljust(width), default.replace("[", "\\["), text


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_shown(element) for element in value) + "]"
    text = str(value)
    if text.startswith("${oc.env:"):
        variable, _, fallback = text[len("${oc.env:") : -1].partition(",")
        return f"${variable} or {fallback}"
    return text


def _presets(out: Console, command: Command) -> None:
    found = catalog.presets(command.name)
    if found:
        out.print(f"\n[bold]Presets[/]: lipsort {command.name} {catalog.PRESETS}=NAME")
        out.print(table([(name, text) for name, _, text in found]))


def show_root() -> None:
    """The page of ``lipsort --help``."""
    out = page()
    out.print("[bold]Usage:[/] lipsort COMMAND \\[KEY=VALUE]...\n")
    out.print(
        "Neural networks of known Lipschitz constant: train them, certify them, verify\n"
        "the certificates, and bound Wasserstein distances with them.\n"
    )
    rows = []
    for command in COMMANDS.values():
        alias = f" (alias: {', '.join(command.aliases)})" if command.aliases else ""
        rows.append((command.name, command.help + alias))
    rows += [(name, said_of(name)) for name in PLAIN]
    out.print("[bold]Commands[/]; lipsort COMMAND --help shows what can be set, with examples")
    out.print(table(rows))
    out.print("\n[bold]Options[/]")
    out.print(table(_OPTIONS))
    out.print(
        "\n[bold]Exit codes[/]  0 done; 2 the command line is wrong; 130 interrupted;\n"
        "            3 a certificate that `lipsort verify` cannot judge; 1 else"
    )
