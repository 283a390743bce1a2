"""The two consoles that everything prints through.

Results go to stdout, complaints to stderr, so a pipe receives results only. When stdout is no
terminal, output is plain lines: no colours, no live displays, no wrapping of long paths.
"""

from __future__ import annotations

from rich.console import Console

_UNWRAPPED = 10_000
"""Columns where there is no terminal: a path that is broken in two cannot be copied or parsed."""


def _make(*, stderr: bool = False) -> Console:
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        return Console(stderr=stderr, highlight=False, width=_UNWRAPPED)
    return made


console = _make()
"""Results and progress, on stdout."""

errors = _make(stderr=True)
"""Messages of failures and warnings, on stderr."""


def warn(message: str) -> None:
    """Print ``warning: message`` on stderr (literally: brackets are not markup)."""
    errors.print(f"warning: {message}", style="yellow", markup=False)


def is_interactive() -> bool:
    """True where a live progress bar makes sense: stdout is a terminal."""
    return console.is_terminal
