"""Writes the site's reference pages, docs/reference/*.md, from the commands and options themselves.

`make docs` runs it before it builds the site; git ignores what it writes.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from lipsort_cli.cli.plain import PLAIN, function
from lipsort_cli.config import catalog
from lipsort_cli.config.options import REQUIRED
from lipsort_cli.config.schema import COMMANDS, GROUPS
from lipsort_cli.config.validate import allowed

PYTHON = {
    "The front door": ("lipsort_cli.library",),
    "Layers": ("lipsort_cli.layers",),
    "Optimizers": ("lipsort_cli.optim",),
    "Networks": ("lipsort_cli.zoo",),
    "Verifier": ("lipsort_cli.verification",),
}
"""Sections of the Python reference, and the modules whose documented names they list."""


def cell(text: object) -> str:
    """Text for a cell of a Markdown table."""
    words = " ".join(str(text).split()).replace("<", "&lt;")
    return re.sub(r"([|*_\[\]])", r"\\\1", words)


def keys(found: list[catalog.Key]) -> str:
    """The table of some keys: default, meaning and range."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key in found:
        default = "required" if key.default == REQUIRED else f"`{value(key.default)}`"
        limits = allowed(key.field.metadata)
        says = cell(key.help) + (f" ({cell(limits)})" if limits else "")
        lines.append(f"| `{key.name}` | {default} | {says} |")
    return "\n".join(lines) if found else ""


def value(default: object) -> str:
    """A default as it is typed."""
    if default is None:
        return "null"
    if isinstance(default, list):
        return "[" + ",".join(value(one) for one in default) + "]"
    return str(default).lower() if isinstance(default, bool) else str(default) or "''"


def commands() -> str:
    """The page of all commands."""
    parts = ["# Commands", "Written from the commands; `lipsort COMMAND --help` says the same."]
    for command in COMMANDS.values():
        also = (
            f" Also called {', '.join(f'`{a}`' for a in command.aliases)}."
            if command.aliases
            else ""
        )
        parts.append(f"## lipsort {command.name}\n\n{command.help}{also}")
        if command.takes:
            whose = ", ".join(f"`{name}`" for name in command.takes)
            parts.append(f"Works on runs of {whose}.")
        examples = "\n".join(f"$ {line}    # {text}" for text, line in command.examples)
        parts.append(f"```console\n{examples}\n```")
        groups = [g for g in catalog.default_options(command.name) if g in GROUPS]
        if groups:
            rows = "\n".join(
                f"| `{g}` | `{catalog.default_options(command.name)[g]}` | "
                + ", ".join(
                    f"[`{o}`](options.md#{g}-{o})" for o in catalog.group_options(g, command.name)
                )
                + " |"
                for g in groups
            )
            parts.append(f"| group | default | options |\n|---|---|---|\n{rows}")
        parts.append(keys(list(catalog.plain_keys(command.name))))
        presets = catalog.presets(command.name)
        if presets:
            rows = "\n".join(f"| `{name}` | {cell(text)} |" for name, _, text in presets)
            parts.append(f"| `experiment=` | what it is |\n|---|---|\n{rows}")
    for name in PLAIN:
        typed = function(name)
        parts.append(f"## lipsort {name}\n\n{inspect.cleandoc(typed.__doc__ or '')}")
        parts.append(arguments(typed))
    return "\n\n".join(parts) + "\n"


def arguments(typed: object) -> str:
    """The table of a typed command's arguments and options."""
    import typer

    app = typer.Typer()
    app.command()(typed)  # type: ignore[type-var]
    rows = ["| argument | default | meaning |", "|---|---|---|"]
    for parameter in typer.main.get_command(app).params:
        shown = (
            ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.name
        )
        if parameter.name in ("install_completion", "show_completion"):
            continue
        default = "required" if parameter.required else f"`{value(parameter.default)}`"
        rows.append(f"| `{shown}` | {default} | {cell(getattr(parameter, 'help', '') or '')} |")
    return "\n".join(rows)


def options() -> str:
    """The page of the options of every group."""
    parts = ["# Options\n\nWritten from the options themselves: one is chosen with `GROUP=OPTION`."]
    for group in GROUPS:
        parts.append(f"## {group}")
        for option in catalog.group_options(group):
            parts.append(f"### {group}={option} {{ #{group}-{option} }}")
            parts.append(cell(catalog.describe_option(group, option)))
            parts.append(keys(catalog.option_keys(group, option, values=True)))
    return "\n\n".join(parts) + "\n"


def python() -> str:
    """The page of the Python reference."""
    parts = ["# Python"]
    for title, modules in PYTHON.items():
        parts += [f"## {title}", *(f"::: {module}" for module in modules)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    folder = Path(__file__).with_name("reference")
    folder.mkdir(exist_ok=True)
    for page in (commands, options, python):
        (folder / f"{page.__name__}.md").write_text(page(), encoding="utf-8")
