"""The Typer application: one thin function a command. Imports neither torch nor Hydra."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from lipsort_cli import __version__
from lipsort_cli.cli.plain import PLAIN, refusal
from lipsort_cli.config.registry import Command
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.errors import Interrupted, LipsortError, first_line

app = typer.Typer(
    name="lipsort",
    add_completion=False,
    invoke_without_command=True,
    # Typer's rich renderer costs as much as everything else here; our pages are drawn directly.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
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
    except (MemoryError, RuntimeError) as error:
        if os.environ.get("LIPSORT_DEBUG") == "1" or not _lacks_memory(error):
            raise
        _complain(
            f"out of memory ({first_line(error)}); "
            "make the network, the batch or the number of points smaller"
        )
        sys.exit(1)


def _lacks_memory(error: Exception) -> bool:
    """Whether an allocation failed; torch says so in the words of a RuntimeError only."""
    words = ("not enough memory", "out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(w in str(error).lower() for w in words)


def _complain(message: str) -> None:
    from lipsort_cli.console import errors

    errors.print("lipsort: ", end="", style="bold red")
    errors.print(message, soft_wrap=True)


_SETTINGS: dict[str, Any] = {
    # What follows a command is its own business: Hydra's grammar, or its own parser's.
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True},
    "add_help_option": False,
}


def _stoppable(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, whose interruption is an error of ours: Typer ends the process at others."""

    @functools.wraps(function)
    def body(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted") from error

    return body


def _add(command: Command) -> None:
    """Register a Hydra command under its name and its aliases."""

    def body(context: typer.Context) -> None:
        if "--help" in context.args or "-h" in context.args:
            from lipsort_cli.cli.help import show

            show(command, [word for word in context.args if "=" in word])
            return
        from lipsort_cli.cli.launch import launch

        launch(command, context.args)

    for name in (command.name, *command.aliases):
        app.command(name, help=command.help, **_SETTINGS)(_stoppable(body))


for _command in COMMANDS.values():
    _add(_command)
for _name, _function in PLAIN.items():
    app.command(_name, context_settings={"help_option_names": ["--help", "-h"]})(
        _stoppable(_function)
    )


def _shell(name: str) -> str:
    from lipsort_cli.cli.complete import SCRIPTS
    from lipsort_cli.errors import UsageError

    if name not in SCRIPTS:
        raise UsageError(f"completion: found {name!r}; allowed: {', '.join(SCRIPTS)}")
    return name


@app.callback(context_settings={"help_option_names": []})
def _root(
    context: typer.Context,
    wants_help: Annotated[bool, typer.Option("--help", "-h")] = False,
    version: Annotated[bool, typer.Option("--version")] = False,
    install_completion: Annotated[str | None, typer.Option(metavar="bash|zsh")] = None,
    show_completion: Annotated[str | None, typer.Option(metavar="bash|zsh")] = None,
) -> None:
    """Take the options that belong to no command."""
    if version:
        print(f"lipsort {__version__}")
    elif show_completion is not None:
        from lipsort_cli.cli.complete import SCRIPTS

        print(SCRIPTS[_shell(show_completion)], end="")
    elif install_completion is not None:
        from lipsort_cli.cli.complete import install

        start = install(_shell(install_completion))
        print(f"Completion is installed; open a new shell, or run: source {start}")
    elif wants_help or context.invoked_subcommand is None:
        from lipsort_cli.cli.help import show_root

        show_root()
    else:
        return
    raise typer.Exit


# Typer names this one only by its subclass.
_UsageError: Any = typer.BadParameter.__bases__[0]


def run(arguments: list[str]) -> int:
    """``lipsort ARGUMENTS...`` within this process; returns the exit code.

    Raises:
        LipsortError: what a user can act on.
    """
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except _UsageError as error:
        raise refusal(error, arguments[0]) from error


def main() -> None:
    """Entry point of the script ``lipsort``."""
    shell = os.environ.get("_LIPSORT_COMPLETE")
    if shell:
        from lipsort_cli.cli.complete import answer

        answer(shell)
        return
    from lipsort_cli.console import guard, lost_output, warn

    guard()
    try:
        _main()
    finally:
        lost = lost_output()
        if lost is not None:
            warn(f"stdout: {lost.strerror}; what was printed is lost, or part of it")
            if _only_speaks(sys.argv[1:]):
                sys.exit(1)


def _only_speaks(arguments: list[str]) -> bool:
    """Whether the command line asks for nothing but text: no file, no verdict in the exit code."""
    asking = {"--help", "-h", "--version", "--show-completion", "--cfg", "-c", "--info", "-i",
              "--hydra-help"}  # fmt: skip
    words = {argument.partition("=")[0] for argument in arguments}
    return not words or "zoo" in arguments[:1] or bool(words & asking)


def _main() -> None:
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        # Without the parser, whose validation library takes longer to load than all the rest.
        from lipsort_cli.cli.help import show_root

        show_root()
    else:
        # Before torch is loaded. Threads of OpenMP that wait by spinning make a run many times
        # slower as soon as anything else wants a core, and gain next to nothing on an idle machine.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        with reported():
            _known(sys.argv[1:])
            sys.exit(run(sys.argv[1:]))


_OPTIONS = {
    "--help": False,
    "-h": False,
    "--version": False,
    "--install-completion": True,
    "--show-completion": True,
}
"""Options that belong to no command, and whether a shell's name follows."""


def _known(arguments: list[str]) -> None:
    """Refuse a command or an option that does not exist, naming those that do."""
    from difflib import get_close_matches

    from lipsort_cli.errors import UsageError

    name, equals, _ = arguments[0].partition("=")
    if arguments[0].startswith("-"):
        what, names = "option", list(_OPTIONS)
    else:
        what, names, name = "command", [str(c.name) for c in app.registered_commands], arguments[0]
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"no {what} {name!r}; allowed: {', '.join(names)}{hint}")
    takes_shell = _OPTIONS.get(name, False)
    if takes_shell and not equals and len(arguments) == 1:
        raise UsageError(f"{name}: found no shell; allowed: {name} bash, {name} zsh")
    if what == "option" and equals and not takes_shell:
        raise UsageError(f"{name}: found {arguments[0]!r}; allowed: {name} without a value")


if __name__ == "__main__":
    main()
