"""The commands that Hydra does not configure: typed functions, which Typer makes options of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipsort_cli.commands.generalisation import generalisation
from lipsort_cli.commands.reproduce import reproduce
from lipsort_cli.commands.theory import theory
from lipsort_cli.commands.verify import verify
from lipsort_cli.commands.zoo import zoo
from lipsort_cli.errors import UsageError

PLAIN: dict[str, Callable[..., int]] = {
    function.__name__: function for function in (verify, theory, generalisation, reproduce, zoo)
}
"""Every such command by its name; each returns its exit code."""


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
