"""The commands that Hydra does not configure: typed functions, which Typer makes options of."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from lipsort_cli import commands
from lipsort_cli.errors import UsageError

PLAIN = ("verify", "theory", "generalisation", "reproduce", "zoo", "doctor")
"""Their names; each function, of a module of its own name, returns its exit code."""


def function(name: str) -> Callable[..., int]:
    """The function that is the command ``name``.

    Imported when it is asked for: Typer, which it is written for, takes longer to load than a page
    of help takes to show.
    """
    return getattr(import_module(f"{commands.__name__}.{name}"), name)


def said_of(name: str) -> str:
    """The first line of a function's docstring, read without importing its module."""
    text = (Path(commands.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    found = re.search(rf'^def {name}\(.*?^    """(.*?)(?:"""|$)', text, re.M | re.S)
    return found[1] if found else ""


def refusal(error: Any, name: str) -> UsageError:
    """What Typer says is wrong with ``lipsort NAME ...``, in the words of all other commands."""
    see = f"see `lipsort {name} --help`"
    message = error.message[:1].lower() + error.message[1:].rstrip(".")
    if hasattr(error, "possibilities"):
        near = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        options = [text for p in error.ctx.command.params for text in p.opts if text[:2] == "--"]
        return UsageError(
            f"no option {error.option_name!r}; allowed: {', '.join([*options, '--help'])}{near}"
        )
    parameter = getattr(error, "param", None)
    if parameter is None:
        return UsageError(f"{message}; {see}")
    key = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
    # What Typer's validation says of a value: its words end where those of the parser begin.
    found: list[Any] = getattr(error.__cause__, "errors", list)()
    given = f"found {found[0]['input']!r}; " if found else ""
    words = message.partition(",")[0] or "required, and not given"
    return UsageError(f"{key}: {given}{words}; {see}")
