"""The one family of errors that becomes a message and an exit code.

Anything else that escapes a command is a defect and keeps its traceback.
"""

from __future__ import annotations

Instead = tuple[str, list[str]]
"""A word of a command line that is wrong, and those that are to stand in its place."""


class LipsortError(Exception):
    """Something went wrong that the user can act on; the message says how. Exit code 1."""

    exit_code = 1


class UsageError(LipsortError):
    """The command line or the configuration is wrong. Exit code 2.

    The message names the key, what was found and what is allowed.
    """

    exit_code = 2

    def __init__(self, message: str, instead: tuple[Instead, ...] = ()) -> None:
        super().__init__(message)
        self.instead = instead
        """For every wrong word, those to stand in its place; empty where not all are known."""


class ArgumentError(UsageError, ValueError):
    """An argument in Python that nothing can be made with."""


class Interrupted(LipsortError):
    """Stopped by Ctrl-C or a termination signal; the run can be resumed. Exit code 130."""

    exit_code = 130


def first_line(error: BaseException) -> str:
    """What an error says first, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


class Fault(str):
    """What is wrong, in words; and, where that is known, the words that would have been right."""

    instead: Instead | None

    def __new__(cls, words: str, instead: Instead | None = None) -> Fault:
        """As ``str`` is made."""
        fault = super().__new__(cls, words)
        fault.instead = instead
        return fault
