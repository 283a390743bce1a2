"""The examples of README and docs/: what a reader would type, and what he is shown."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lipsort_cli.config.schema import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/tutorials/*.md")])
_BLOCK = re.compile(r"^```(console|python)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
_NUMBER = re.compile(r"(?<!\d)(?!\d+ points(?!:))\d[\d.,:]*(?:e[+-]?\d+)?")
"""What may differ between machines: all numbers but how many points there are to look at."""
_FRAME = re.compile(r"[━─┏┳┓┡╇┩└┴┘│┃\s]+")


def section(page: Path, title: str) -> str:
    """What a page says under a heading, up to the next of its level."""
    return page.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


FIRST_FIVE = section(ROOT / "README.md", "Five commands")
"""README's first commands, which run as they are written."""


@dataclass
class Example:
    """A command line, or a Python file, with the lines that the page shows below it."""

    line: str
    shown: list[str] = field(default_factory=list)
    title: str = ""
    """Name of the file that holds it; empty for a command line."""

    @property
    def words(self) -> list[str]:
        """The words that a shell would pass on."""
        return shlex.split(self.line, comments=True)

    @property
    def program(self) -> str:
        """`lipsort`, or `torchrun` of it, where the line runs that; else nothing."""
        runs = not self.title and self.words[0] in ("lipsort", "torchrun")
        return self.words[0] if runs else ""

    @property
    def arguments(self) -> list[str]:
        """The words behind the program."""
        name = "lipsort_cli" if self.program == "torchrun" else self.words[0]
        return self.words[self.words.index(name) + 1 :]


def examples(text: str) -> Iterator[Example]:
    """The command lines and named Python files of a page, in order."""
    for language, title, block in _BLOCK.findall(text):
        if language == "python":
            if title:
                yield Example(block, title=title)
            continue
        found: list[Example] = []
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append(Example(line[2:]))
            elif found:
                found[-1].shown.append(line)
        yield from found


def snippets(page: Path) -> list[str]:
    """The blocks of Python of a page that are no files."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [block for language, title, block in found if language == "python" and not title]


@functools.cache
def lines() -> dict[str, list[str]]:
    """Every command line of the pages and of the help pages (which the site's reference repeats),
    once, but those that run as they are written; with what is shown below it."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        if page.parent.name != "tutorials":
            text = page.read_text(encoding="utf-8").replace(FIRST_FIVE, "")
            for one in examples(text):
                if not one.title:
                    found.setdefault(shlex.join(one.words), []).extend(one.shown)
    for command in COMMANDS.values():
        for _, line in command.examples:
            found.setdefault(shlex.join(shlex.split(line)), [])
    return found


def skeleton(text: str) -> str:
    """A line without its numbers, frames and spaces: what must be the same on every machine."""
    return _FRAME.sub(" ", _NUMBER.sub("#", text)).strip()
