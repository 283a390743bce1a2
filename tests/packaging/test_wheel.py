"""The wheel holds all that runs need, and works far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _run(*command: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_code_configuration_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in ROOT.glob("conf/**/*.yaml"):
        assert f"lipsort_cli/{path.relative_to(ROOT)}" in names
    for path in ROOT.glob("lipsort_cli/**/*.py"):
        assert str(path.relative_to(ROOT)) in names
    assert "lipsort_cli/py.typed" in names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "outputs/", "conf/"))]


def test_the_installed_wheel_works_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    _run(*pip, "--target", str(target), str(wheel), cwd=tmp_path)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    # First on the path, so that this copy is taken, and not the checkout that is being tested.
    environment = os.environ | {"PYTHONPATH": str(target)}
    lipsort = (sys.executable, "-m", "lipsort_cli")
    code = "import lipsort_cli; print(lipsort_cli.__file__)"
    where = _run(sys.executable, "-c", code, cwd=folder, environment=environment)
    assert where.startswith(str(target))
    zoo = _run(*lipsort, "zoo", cwd=folder, environment=environment)
    assert "worst_class_hinge" in zoo
    shown = _run(
        *lipsort, "train", "--cfg", "job", "data=mnist", cwd=folder, environment=environment
    )
    assert "name: mnist" in shown
    paths = _run(*lipsort, "train", "--info", "searchpath", cwd=folder, environment=environment)
    assert f"{target}/lipsort_cli/conf" in paths
    page = _run(str(target / "bin" / "lipsort"), "--help", cwd=folder, environment=environment)
    assert "lipsort COMMAND" in page
    found = json.loads(_run(*lipsort, "doctor", "--json", cwd=folder, environment=environment))
    assert found["faults"] == []
    assert found["configuration"] == f"{target}/lipsort_cli/conf"
    # From the wheel's metadata, where the checkout has its pyproject.toml.
    assert {name: bool(one["for"]) for name, one in found["extras"].items()} == dict.fromkeys(
        set(PROJECT["optional-dependencies"]) - {"dev"}, True
    )
    assert all({*one["installed"], *one["missing"]} for one in found["extras"].values())
    assert list(folder.iterdir()) == []


def test_git_does_not_ignore_what_is_shipped() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    shipped = [str(p) for folder in ("conf", "lipsort_cli") for p in ROOT.glob(f"{folder}/**/*")
               if p.is_file() and "__pycache__" not in p.parts]  # fmt: skip
    done = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        input="\n".join(shipped),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_every_requirement_is_pinned_by_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in wanted:
        name = requirement
        for sign in "<>=[!~ ":
            name = name.partition(sign)[0]
        assert name == "lipsort" or name.lower() in pinned, f"{name} is not pinned"
    assert "torch==2.13.0" in lines
    assert "torchvision==0.28.0" in lines
