"""The script ``lipsort``: help and completion at once, everything else by the Typer application.

Imports neither torch nor Hydra, and Typer only where a command line is to be parsed.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lipsort_cli.errors import LipsortError, first_line


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


def run(arguments: list[str]) -> int:
    """``lipsort ARGUMENTS...`` within this process; returns the exit code.

    Raises:
        LipsortError: what a user can act on.
    """
    from lipsort_cli.cli import application

    return application.run(arguments)


def main() -> None:
    """Entry point of the script ``lipsort``."""
    code: int | str | None = 1
    if _is_the_script():
        # What is registered first is called last, when all that must be closed is.
        atexit.register(lambda: _leave(code))
        gc.disable()  # until what a command works with is loaded: see processes.collect_garbage
    try:
        _serve()
        code = 0
    except SystemExit as end:
        code = end.code
        raise
    except KeyboardInterrupt:  # while what says so in colour is loaded
        code = 130
        print("lipsort: interrupted", file=sys.stderr)
        sys.exit(code)


def _is_the_script() -> bool:
    """Whether this process ends when :func:`main` does: it was started as ``lipsort``."""
    started = sys.modules["__main__"]
    spec = getattr(started, "__spec__", None)
    name = spec.name if spec else Path(getattr(started, "__file__", None) or "").stem
    return name in ("lipsort", "lipsort_cli.__main__")


def _leave(code: int | str | None) -> None:
    """End without taking down what torch has loaded, module by module: that is half a second."""
    if "torch" in sys.modules:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _serve() -> None:
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
        # slower as soon as anything else wants a core; those that sleep at once make a step of two
        # threads up to half as long again. A thousand looks, some microseconds, are in between.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
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

    from lipsort_cli.cli.plain import PLAIN
    from lipsort_cli.config.schema import COMMANDS
    from lipsort_cli.errors import UsageError

    name, equals, _ = arguments[0].partition("=")
    if arguments[0].startswith("-"):
        what, names = "option", list(_OPTIONS)
    else:
        names = [name for c in COMMANDS.values() for name in (c.name, *c.aliases)] + list(PLAIN)
        what, name = "command", arguments[0]
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
