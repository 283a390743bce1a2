"""The one family of errors that becomes a message and an exit code.

Anything else that escapes a command is a defect and keeps its traceback.
"""

from __future__ import annotations


class LipsortError(Exception):
    """Something went wrong that the user can act on; the message says how. Exit code 1."""

    exit_code = 1


class UsageError(LipsortError):
    """The command line or the configuration is wrong. Exit code 2.

    The message names the key, what was found and what is allowed.
    """

    exit_code = 2


class Interrupted(LipsortError):
    """Stopped by Ctrl-C or a termination signal; the run can be resumed. Exit code 130."""

    exit_code = 130
