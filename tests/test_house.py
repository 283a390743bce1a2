"""The house: which room may import which, no circles, nothing that is never used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lipsort_cli"

ORDER = [
    "errors", "arithmetic", "devices", "quoting", "files", "config", "console", "pages", "data",
    "extend", "identity", "versions", "metrics", "runs", "finding", "arguments", "verifier",
    "verification", "certificates",
    "trained",
    "directed_text", "layers",
    "norms", "zoo", "imports", "attacks", "figures", "optim", "inspection", "processes",
    "training", "wasserstein", "gan", "reports", "reproduction", "tune", "theory", "library",
    "commands", "cli", "app", "__main__",
]  # fmt: skip
"""Folders and modules of the package: each imports only what stands before it, lazily or not."""

UPWARDS = {
    ("lipsort_cli.wasserstein.build", "gan"): "a trained generator is a distribution",
    ("lipsort_cli.reproduction.worker", "app"): "a process that runs commands as the shell does",
    ("lipsort_cli.reproduction.worker", "cli"): "the same",
}
"""Imports that run upwards all the same, inside functions only, and why."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports(module: str) -> list[tuple[str, bool]]:
    """What a module imports of the package, and whether only inside a function."""
    return list(_imports(ast.parse(modules()[module].read_text()), module, inside=False))


def _imports(node: ast.AST, module: str, *, inside: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((one.name, inside) for one in child.names if _own(one.name))
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                is_package = modules()[module].name == "__init__.py"
                parts = module.split(".")
                parts = parts[: len(parts) - child.level + is_package]
                base = ".".join([*parts, *([child.module] if child.module else [])])
            for one in child.names if _own(base) else ():
                full = f"{base}.{one.name}"
                yield (full if full in modules() else base), inside
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, module, inside=inside or function)


def _own(name: str) -> bool:
    return name.split(".")[0] == "lipsort_cli"


def room(module: str) -> str:
    """The folder or module of the package that a dotted name is in."""
    return [*module.split("."), ""][1]


def test_every_room_has_its_place() -> None:
    rooms = {room(module) for module in modules()} - {""}
    assert sorted(rooms) == sorted(ORDER)


def test_no_import_runs_upwards() -> None:
    found = {
        (module, room(target), inside)
        for module in modules()
        for target, inside in imports(module)
        if room(target) and room(module) and ORDER.index(room(target)) > ORDER.index(room(module))
    }
    assert {(module, target) for module, target, _ in found} == set(UPWARDS)
    assert all(inside for _, _, inside in found)


def test_no_import_circle() -> None:
    finished: set[str] = set()

    def visit(module: str, on_the_way: tuple[str, ...]) -> None:
        assert module not in on_the_way, " -> ".join([*on_the_way, module])
        if module not in finished:
            for target, inside in imports(module):
                if not inside and target != module:
                    visit(target, (*on_the_way, module))
            finished.add(module)

    for module in modules():
        visit(module, ())


def test_an_upward_import_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("lipsort_cli.gan.runs", True) in imports("lipsort_cli.wasserstein.build")
    assert ("lipsort_cli.layers.base", False) in imports("lipsort_cli.layers.dense")


def test_functions_and_modules_fit_on_a_few_screens() -> None:
    long = []
    for module, path in modules().items():
        text = path.read_text()
        if text.count("\n") > 400:
            long.append((module, text.count("\n")))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > 60:
                    long.append((f"{module}.{node.name}", lines))
    assert not long


_COUNTED = re.compile(r"\{(?:[^{}]*\b)?len\([^{}]*\)(?::,)?\} [a-z]+s\b")
"""A number of things, called by a plural whatever the number is."""

_SEVERAL = {
    "config/typed.py", "data/npz.py",
    "data/precision.py", "data/tabular.py", "reproduction/studies/theory.py",
    "wasserstein/bounds.py", "wasserstein/sources.py",  # several there, or one of several
    "data/downloaded.py", "gan/evaluation/manifolds.py",  # two numbers
    "config/options.py", "optim/optimizer.py", "reports/blocks.py",  # defects, for their authors
}  # fmt: skip
"""Modules where it is never one thing alone, or none that a user reads of."""


def test_one_thing_has_no_plural() -> None:
    names = {path.relative_to(PACKAGE).as_posix(): path for path in modules().values()}
    wrong = {
        name: found
        for name, path in names.items()
        if not name.startswith("verifier/")  # which imports nothing of the rest
        and (found := _COUNTED.findall(path.read_text()))
    }
    assert wrong.keys() == _SEVERAL, wrong


def test_nothing_is_never_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vulture"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_modules_of_tests_have_names_of_their_own() -> None:
    # Folders of tests are no packages: pytest refuses the second module of a name.
    names = sorted(path.name for path in Path(__file__).parent.rglob("test_*.py"))
    assert [name for name, count in Counter(names).items() if count > 1] == []
