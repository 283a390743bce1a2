"""The Typer application: one thin function a command. Imports neither torch nor Hydra."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from lipsort_cli import __version__
from lipsort_cli.cli.table import Command, available
from lipsort_cli.errors import LipsortError

app = typer.Typer(
    name="lipsort",
    help="Neural networks of known Lipschitz constant: train them, certify them, verify the "
    "certificates, and bound Wasserstein distances with them.",
    epilog="`lipsort COMMAND --help` shows what a command can be told, with examples.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@contextmanager
def reported() -> Iterator[None]:
    """Turn what a user can act on into one message and an exit code.

    Any other exception is a defect and keeps its traceback, as does everything when
    ``LIPSORT_DEBUG=1`` is set.
    """
    try:
        yield
    except LipsortError as error:
        _complain(str(error))
        if os.environ.get("LIPSORT_DEBUG") == "1":
            raise
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(130)


def _complain(message: str) -> None:
    from lipsort_cli.console import errors

    errors.print("lipsort: ", end="", style="bold red")
    errors.print(message, markup=False)


def _add(command: Command) -> None:
    """Register a Hydra command under its name and its aliases; Hydra parses what follows it."""

    def body(
        context: typer.Context,
        arguments: Annotated[list[str] | None, typer.Argument(show_default=False)] = None,
    ) -> None:
        with reported():
            given = [*(arguments or []), *context.args]
            if "--help" in given or "-h" in given:
                from lipsort_cli.cli.help import show

                show(command)
                return
            from lipsort_cli.cli.launch import launch

            launch(command, given)

    settings: dict[str, Any] = {
        "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True},
        "add_help_option": False,
    }
    app.command(command.name, help=command.help, **settings)(body)
    for alias in command.aliases:
        app.command(alias, help=f"Alias of [bold]{command.name}[/].", **settings)(body)


for _command in available():
    _add(_command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lipsort {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Entry point of the script ``lipsort``."""
    app()


if __name__ == "__main__":
    main()
