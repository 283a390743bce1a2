"""Plugins: modules of other packages that add options to groups when they are imported.

Those that a distribution names in its entry points ``lipsort.plugins`` are always there; others are
named on the command line, ``plugins=[module]``, and kept in the run's configuration.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError, UsageError, first_line

ENTRY_POINTS = "lipsort.plugins"
_OWN = __name__.partition(".")[0]
_PACKAGES: set[str] = set()
"""The packages of all plugins that this process has imported, or tried to."""


def load_installed() -> None:
    """Import the plugins of installed distributions; one that fails is named on stderr."""
    for folder in sys.path:
        try:
            names = [
                n for n in os.listdir(folder or ".") if n.endswith((".dist-info", ".egg-info"))
            ]
        except OSError:
            continue
        for name in names:
            for module in _named(Path(folder or ".", name, "entry_points.txt")):
                try:
                    _import(module)
                except Exception as error:  # whatever a module of somebody else's may raise
                    sys.stderr.write(f"lipsort: plugin {module}: {first_line(error)}\n")


def _named(path: Path) -> Iterator[str]:
    """The modules that a file of entry points names as plugins.

    Read directly: ``importlib.metadata`` takes as long to load as all of completion.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return
    if f"[{ENTRY_POINTS}]" in text:
        section = text.partition(f"[{ENTRY_POINTS}]")[2].partition("\n[")[0]
        for line in filter(str.strip, section.splitlines()):
            yield line.partition("=")[2].strip()


def load(modules: Any) -> None:
    """Import the plugins ``modules``, a list of names; they may lie in the current folder.

    Raises:
        UsageError: it is no such list (a saved configuration may hold anything), or one of them
            cannot be imported.
    """
    if modules is None:
        return
    if isinstance(modules, str) or not isinstance(modules, Sequence):
        raise UsageError(f"plugins: found {modules!r:.60}; allowed: a list of modules")
    for module in map(str, modules):
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # to stay: a module may import its neighbours late
        try:
            _import(module)
        except UsageError:
            raise  # of ``choice``: what is wrong, and where
        except Exception as error:
            raise UsageError(
                f"plugins: found {module}, which cannot be imported ({type(error).__name__}: "
                f"{first_line(error)}); allowed: modules that are installed, on PYTHONPATH or in "
                "the current folder"
            ) from error


def _import(module: str) -> None:
    _PACKAGES.add(module.partition(".")[0])
    importlib.import_module(module)


@contextmanager
def blamed() -> Iterator[None]:
    """Make one message of what a plugin's code raises, or what it calls: whose, and where.

    Raises:
        LipsortError: that message, in place of the exception.
    """
    try:
        yield
    except (LipsortError, MemoryError):
        raise
    except Exception as error:
        frames = [
            (name, frame.f_code.co_filename, line)
            for frame, line in traceback.walk_tb(error.__traceback__)
            if (name := str(frame.f_globals.get("__name__")).partition(".")[0]) in _PACKAGES
        ]
        if not frames:
            raise
        name, file, line = frames[-1]
        words = f": {error}" if str(error) else ""
        raise LipsortError(
            f"plugin {name}: {type(error).__name__}{words} ({file}, line {line}); "
            "LIPSORT_DEBUG=1 before the command shows the traceback"
        ) from error


def made(option: Any, wanted: Any, *given: Any) -> Any:
    """What an option of a plugin makes of ``given``; None of an option that has no ``make``.

    Raises:
        UsageError: it makes something else than ``wanted``, a class.
    """
    if (make := getattr(option, "make", None)) is None:
        return None
    found, kind = make(*given), type(option)
    if isinstance(found, wanted):
        return found
    raise UsageError(
        f"{kind.__module__}.{kind.__qualname__}.make: found {type(found).__name__}; allowed: "
        f"{wanted.__module__}.{wanted.__qualname__}"
    )


def named(words: Sequence[str]) -> list[str]:
    """The modules of ``plugins=[A,B]`` among the words of a command line."""
    texts = [word.partition("=")[2] for word in words if word.startswith("plugins=")]
    names = [name.strip(" \"'") for text in texts for name in text.strip("[]").split(",")]
    return [name for name in names if name and name.replace(".", "_").isidentifier()]


def sources(config: Any) -> dict[str, str]:
    """The plugin's code behind each node of ``config`` that is one's: module and SHA-256."""
    found = {}
    for entry in fields(config) if is_dataclass(config) else ():
        node = getattr(config, entry.name)
        module = type(node).__module__
        if is_dataclass(node) and module.partition(".")[0] != _OWN:
            found[f"{entry.name}.plugin"] = f"{module} {_digest(module.partition('.')[0])}"
    return found


def _digest(name: str) -> str:
    """SHA-256 of the Python files of a package, or of a module that is one file."""
    path = Path(getattr(sys.modules.get(name), "__file__", None) or "")
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{file.relative_to(path.parent)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
