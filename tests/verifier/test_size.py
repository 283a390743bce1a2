"""The verifier stays as small as docs/trust.md says, and stands on its own."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import lipsort_cli.verifier

FOLDER = Path(lipsort_cli.verifier.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = ("dense", "flatten", "groupsort", "maxout", "relu", "abs", "identity", "normalize")
WHOLE, CORE = 3800, 2147
"""Lines at most; lower them with the code, never raise them for comfort."""


def core() -> list[Path]:
    """The modules that docs/trust.md names, with what they share."""
    text = (DOCS / "trust.md").read_text()
    named = re.search(r"\*\*The trusted core\*\*(.*?)`tests/verifier", text, re.S)
    assert named
    found = []
    for name in re.findall(r"`([\w/]+)`", named[1]):
        path = name if "/" in name else f"operations/{name}" if name in OPERATIONS else name
        found.append(FOLDER / f"{path}.py")
    shared = ("__init__", "operations/__init__", "operations/_base")
    return [*found, *(FOLDER / f"{name}.py" for name in shared)]


def lines(paths: list[Path]) -> int:
    return sum(len(path.read_text().splitlines()) for path in paths)


def test_the_core_and_the_whole_are_small() -> None:
    modules = core()
    assert len(modules) == len(set(modules)) > 20 and all(path.is_file() for path in modules)
    assert lines(modules) <= CORE
    assert lines(list(FOLDER.rglob("*.py"))) <= WHOLE


def test_the_wall_stands() -> None:
    """Whatever is imported is the standard library, NumPy, python-flint or the folder itself."""
    allowed = {*sys.stdlib_module_names, "numpy", "flint"}
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                own = name.startswith("lipsort_cli.verifier")
                assert own or name.split(".")[0] in allowed, (path.name, name)
    for path in core():
        text = path.read_text()
        for other in ("exact", "onnx", "w1"):
            early = re.search(rf"^from \.+{other} import", text, re.M)
            assert not early or path.name in ("operation.py", "verify.py", "_base.py"), path


def test_the_table_of_theorems_names_functions_that_exist() -> None:
    text = (DOCS / "trust.md").read_text()
    table = text[text.index("| theorem |") :].split("\n\n")[0]
    source = "\n".join(path.read_text() for path in FOLDER.rglob("*.py"))
    names = re.findall(r"`(?:[\w/]+\.)*(\w+)`", table)
    assert len(names) > 20
    for name in names:
        assert re.search(rf"\b(?:def|class) {name}\b", source), name
