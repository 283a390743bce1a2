"""The two consoles that everything prints through, whatever stands behind them.

Results go to stdout, complaints to stderr, so a pipe receives results only. When stdout is no
terminal, output is plain lines: no colours, no live displays, no wrapping. A terminal that knows
few characters gets others in their place; one that is gone, or full, costs no result: what it
cannot take is dropped, and said where there is still someone to hear it.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
import shlex
import sys
import textwrap
import unicodedata
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType, RenderResult
from rich.file_proxy import FileProxy
from rich.segment import Segment

from lipsort_cli.quoting import word as hydra_word

_UNWRAPPED = 10_000
"""Columns where there is no terminal: a path that is broken in two cannot be copied or parsed."""

_HANDLER = "lipsort"
_PLAIN = {
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{DOWNWARDS ARROW}": "(lower)",
    "\N{UPWARDS ARROW}": "(higher)",
}
"""What the signs in our own texts are where they cannot be shown."""


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """What a terminal shows in place of characters that its encoding lacks.

    Letters become escapes: a name without its accents may be that of another file.
    """
    assert isinstance(error, UnicodeEncodeError)
    words = []
    for character in error.object[error.start : error.end]:
        line = "-" if 0x2500 <= ord(character) < 0x25A0 else ""  # of a bar or a frame
        escaped = character.encode("ascii", "backslashreplace").decode()
        words.append(_PLAIN.get(character) or line or escaped)
    return "".join(words), error.end


codecs.register_error(_HANDLER, _substitute)


class Steadfast:
    """A text stream that never raises: a given one, or ``sys.stdout`` as it is at the moment."""

    def __init__(self, name: str, stream: Any = None) -> None:
        self._name = name
        self._own = stream
        self._failed: tuple[Any, OSError] | None = None

    @property
    def stream(self) -> Any:
        """The stream behind it; None where there is none."""
        found = self._own if self._own is not None else getattr(sys, self._name)
        # A live display puts itself between; what fails is behind it.
        return found.rich_proxied_file if isinstance(found, FileProxy) else found

    @property
    def failure(self) -> OSError | None:
        """The first error of the stream behind it; from then on all is dropped."""
        stream = self.stream
        if isinstance(stream, Steadfast):
            return stream.failure
        return self._failed[1] if self._failed and self._failed[0] is stream else None

    @property
    def encoding(self) -> str:
        """The encoding of the stream behind it."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write what the stream can show of ``text``."""
        if self.failure is None and self.stream is not None:
            shown = text.encode(self.encoding, _HANDLER).decode(self.encoding)
            self._attempt(lambda: self.stream.write(shown))
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        if self.failure is None and self.stream is not None:
            self._attempt(self.stream.flush)

    def _attempt(self, action: Any) -> None:
        try:
            action()
        except OSError as error:
            self._failed = (self.stream, error)
            _muffle(self.stream)
        except ValueError:  # closed already
            self._failed = (self.stream, OSError(errno.EBADF, os.strerror(errno.EBADF)))
        except RuntimeError:
            return  # from a signal's handler, in the middle of another write: this one is dropped

    def isatty(self) -> bool:
        """Whether a person reads it."""
        try:
            return bool(self.stream is not None and self.stream.isatty())
        except ValueError:
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _muffle(stream: Any) -> None:
    """Lead a broken stream nowhere: what its buffer still holds would fail again at the end."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
    except (OSError, ValueError, AttributeError):
        return


_stdout, _stderr = Steadfast("stdout"), Steadfast("stderr")

_BEGAN_IN_A_TERMINAL = os.isatty(1)


def guard() -> None:
    """Make the process' own streams steadfast, for whoever prints past the consoles.

    A stream that was closed before the start is opened on nothing: the next file to be opened
    would take its number, and everything that is printed would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as we run
        if not isinstance(stream, Steadfast):
            setattr(sys, name, cast(IO[str], Steadfast(name, stream)))


def reader_left() -> bool:
    """Whether stdout's reader is gone: a pipe closed as by `head`, or a terminal hung up."""
    failure = _stdout.failure
    if failure is not None and failure.errno in (errno.EPIPE, errno.EIO):
        return True
    # A terminal that hung up is none any more, so a live display writes nothing that could fail.
    return _BEGAN_IN_A_TERMINAL and not os.isatty(1)


def lost_output() -> OSError | None:
    """Why part of what belongs on stdout is not there, if nobody closed it on purpose."""
    _stdout.flush()
    return None if reader_left() else _stdout.failure


def printable(text: str) -> str:
    """``text`` with control characters, and those that turn its direction, as escapes.

    Names of files and runs may hold anything, also what drives a terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Cs")
        else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )  # fmt: skip


class _Printable:
    """Something printed, without the control characters that its texts may hold."""

    def __init__(self, content: RenderableType) -> None:
        self.content = content

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.content, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


class Console(RichConsole):
    """Rich's console for texts that are data: no markup or emoji codes, no path broken in two."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        """Rich's hook: clean everything that is printed."""
        return [_Printable(content) for content in renderables]

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; texts are wrapped between words only, tables as they are."""
        if all(isinstance(one, str) for one in objects) and not options.get("soft_wrap"):
            objects = tuple(_folded(one, self.width) for one in objects)
            # Rich would break long words, and cut what it does not break.
            options = {"overflow": "ignore", "crop": False} | options
        super().print(*objects, **options)


def _folded(text: str, width: int) -> str:
    """``text`` with line breaks between words, so that lines fit where their words do."""
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        if len(line) > width
        else line
        for line in text.split("\n")
    )


def _make(stream: Steadfast) -> Console:
    settings: dict[str, Any] = {"file": cast(IO[str], stream), "highlight": False, "markup": False,
                                "emoji": False}  # fmt: skip
    made = Console(**settings)
    if not made.is_terminal:
        made = Console(**settings, width=_UNWRAPPED)
    made.push_render_hook(cast(Any, made))
    return made


console = _make(_stdout)
"""Results and progress, on stdout."""

errors = _make(_stderr)
"""Messages of failures and warnings, on stderr."""


def warn(message: str) -> None:
    """Print ``warning: message`` on stderr."""
    errors.print(f"warning: {message}", style="yellow")


def say(message: str) -> None:
    """Print ``message`` on stdout as one line."""
    console.print(message)


def show_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    left: Container[str] = (),
    **look: Any,
) -> None:
    """Print a table; columns are aligned to the right, but those named in ``left``."""
    from rich.table import Table

    table = Table(title=title, **look)
    for name in header:
        table.add_column(name, justify="left" if name in left else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A number and its noun; ``nouns`` where an s does not make the plural."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def is_interactive() -> bool:
    """True where a live progress bar makes sense: stdout is a terminal that can move its cursor."""
    return console.is_terminal and not console.is_dumb_terminal


# --- what to do next --------------------------------------------------------------------------


def standing() -> Path:
    """The folder that the user stands in, also where Hydra has moved into the run directory."""
    hydra = sys.modules.get("hydra.core.hydra_config")
    if hydra is not None and hydra.HydraConfig.initialized():
        return Path(str(hydra.HydraConfig.get().runtime.cwd))
    return Path.cwd()


def located(path: str | Path) -> str:
    """``path`` from where the user stands: relative if it lies below, else absolute."""
    absolute = Path(os.path.abspath(path))
    try:
        return str(absolute.relative_to(standing()))
    except (ValueError, OSError):
        return str(absolute)


def apart(paths: Sequence[Path]) -> list[str]:
    """What tells ``paths`` apart: each without the folders that all lie in."""
    whole = [os.path.abspath(path) for path in paths]
    shared = os.path.commonpath([os.path.dirname(path) for path in whole])
    return [os.path.relpath(path, shared) for path in whole]


def command_line(*words: str | Path | tuple[str, str | Path]) -> str:
    """A command that can be pasted into a shell: paths from where the user stands, all quoted.

    A pair is an override of Hydra's, ``key=value``, quoted for Hydra as well.
    """
    return " ".join(_quoted(_plain_word(word)) for word in words)


def _plain_word(word: str | Path | tuple[str, str | Path]) -> str:
    if not isinstance(word, tuple):
        return located(word) if isinstance(word, Path) else word
    key, value = word
    text = located(value) if isinstance(value, Path) else value
    return f"{key}={hydra_word(text)}"


def _quoted(word: str) -> str:
    """``word`` for a shell: bytes that this terminal does not show are spelled out."""
    try:
        word.encode(_stdout.encoding)
        shown = word.isprintable()
    except UnicodeEncodeError:
        shown = False
    if shown:
        return shlex.quote(word)
    spelled = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"'\\\\" else f"\\{byte:03o}"
        for byte in os.fsencode(word)
    )
    return f"$'{spelled}'"


def follow_up(*words: str | Path | tuple[str, str | Path]) -> None:
    """Print the command that comes next, alone on a line after ``next:``, whatever its length."""
    console.print(f"next: {command_line(*words)}", soft_wrap=True)


_PICTURE = re.compile(r"figures/[^ ]+")
"""A single picture among the files of a result."""


def results_line(what: str, folder: str | Path, *files: str) -> None:
    """Print where results lie: ``what: FOLDER (FILES)``, without pictures that were not drawn.

    ``folder`` may be the file that the others lie beside.
    """
    home = Path(folder) if os.path.isdir(folder) else Path(folder).parent
    there = [name for name in files if not _PICTURE.fullmatch(name) or (home / name).exists()]
    listed = f" ({', '.join(there)})" if there else ""
    console.print(f"{what}: {located(folder)}{listed}", soft_wrap=True)
