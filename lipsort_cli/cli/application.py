"""The Typer application: one thin function a command. Imports neither torch nor Hydra."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from lipsort_cli import __version__
from lipsort_cli.cli.plain import PLAIN, function, refusal
from lipsort_cli.config.registry import Command
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.console import warn
from lipsort_cli.errors import Interrupted, UsageError
from lipsort_cli.processes import collect_garbage
from lipsort_cli.quoting import folder_given_by

app = typer.Typer(
    name="lipsort",
    add_completion=False,
    invoke_without_command=True,
    # Typer's rich renderer costs as much as everything else here; our pages are drawn directly.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

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
            from lipsort_cli.config import plugins

            plugins.load(plugins.named(context.args))
            show(command, [word for word in context.args if "=" in word])
            return
        from lipsort_cli.cli.launch import launch

        launch(command, context.args)

    for name in (command.name, *command.aliases):
        app.command(name, help=command.help, **_SETTINGS)(_stoppable(body))


class _Plain(TyperCommand):
    """A command of typed options; of one with two values the last counts, as of any key."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words that are no options; warns where an option is given twice."""
        values, _, given = self.make_parser(ctx).parse_args(list(args))
        for param in given:
            found = values[param.name]
            if found == "" or (isinstance(found, list | tuple) and "" in found):
                name = param.opts[0] if param.param_type_name == "option" else param.metavar
                raise UsageError(
                    f"{name or param.name}: found nothing, as of an empty variable of a shell; "
                    "allowed: a value"
                )
        for option in {id(p): p for p in given if p.param_type_name == "option"}.values():
            if given.count(option) > 1 and not getattr(option, "is_flag", True):
                warn(f"{option.opts[0]}: found {given.count(option)} times; the last counts")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Carry the command out; messages say how its own folder is chosen."""
        out = any("--out" in param.opts for param in self.params)
        with folder_given_by("--out FOLDER" if out else f"`lipsort {self.name} FOLDER`"):
            try:
                return super().invoke(ctx)
            except OSError as error:
                from lipsort_cli.cli.launch import as_message

                raise as_message(error) from error


for _command in COMMANDS.values():
    _add(_command)
for _name in PLAIN:
    app.command(_name, cls=_Plain, context_settings={"help_option_names": ["--help", "-h"]})(
        _stoppable(function(_name))
    )


def _shell(name: str) -> str:
    from lipsort_cli.cli.complete import SCRIPTS

    if name not in SCRIPTS:
        raise UsageError(f"completion: found {name!r}; allowed: {', '.join(SCRIPTS)}")
    return name


@app.callback(context_settings={"help_option_names": []})
def _root(
    context: typer.Context,
    wants_help: Annotated[bool, typer.Option("--help", "-h")] = False,
    version: Annotated[bool, typer.Option("--version")] = False,
) -> None:
    """Take the options that belong to no command; flags only.

    To read a text, Typer loads a library that takes as long as all the rest of a command's start.
    """
    if version:
        print(f"lipsort {__version__}")
    elif wants_help or context.invoked_subcommand is None:
        from lipsort_cli.cli.help import show_root

        show_root()
    else:
        if context.invoked_subcommand in PLAIN:  # others have more to load
            collect_garbage()
        return
    raise typer.Exit


_completion = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@_completion.command(context_settings={"help_option_names": ["--help", "-h"]})
def _complete(
    install_completion: Annotated[str | None, typer.Option(metavar="bash|zsh")] = None,
    show_completion: Annotated[str | None, typer.Option(metavar="bash|zsh")] = None,
) -> None:
    """Install or print what completes command lines in a shell."""
    from lipsort_cli.cli.complete import SCRIPTS, install

    if show_completion is not None:
        print(SCRIPTS[_shell(show_completion)], end="")
    elif install_completion is not None:
        with folder_given_by("HOME=FOLDER"):
            start = install(_shell(install_completion))
        print(f"Completion is installed; open a new shell, or run: source {start}")


# Typer names this one only by its subclass.
_UsageError: Any = typer.BadParameter.__bases__[0]


def run(arguments: list[str]) -> int:
    """``lipsort ARGUMENTS...`` within this process; returns the exit code.

    Raises:
        LipsortError: what a user can act on.
    """
    option = arguments[0].partition("=")[0] if arguments else ""
    program = _completion if option.endswith("-completion") else app
    try:
        return int(program(arguments, standalone_mode=False) or 0)
    except _UsageError as error:
        raise refusal(error, arguments[0]) from error
