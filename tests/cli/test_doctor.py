"""`lipsort doctor`: says what is there, works where pieces are broken, imports nothing itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli.commands import doctor

ROOT = Path(__file__).parents[2]


def test_every_extra_has_a_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(doctor.PURPOSES) == set(project["optional-dependencies"]) - {"dev"}
    required, extras = doctor.requirements()
    assert list(required.values()) == project["dependencies"]
    for name, wanted in extras.items():
        listed = project["optional-dependencies"][name]
        own = [text for text in listed if not text.startswith("lipsort[")]
        assert set(own) <= set(wanted) and len(wanted) >= len(listed)
        assert not any(text.startswith("lipsort") for text in wanted), "an extra hides others"


def test_all_is_well_here_and_the_doctor_imports_nothing_that_may_be_broken(tmp_path: Path) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    code = (
        "import sys; from lipsort_cli import app; code = app.run(['doctor', '--json'])\n"
        "assert not {'torch', 'numpy', 'hydra', 'omegaconf', 'scipy'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LIPSORT_DATA": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["torch"]["devices"][0] == "cpu" and found["torch"]["threads"] >= 1
    assert found["packages"]["torch"]["version"] and not found["packages"]["torch"]["fault"]
    assert found["data"]["found"]["MNIST"] == str(tmp_path / "MNIST" / "raw")
    assert found["data"]["found"]["CIFAR-10"] is None
    for name, extra in found["extras"].items():
        assert extra["install"] == f"pip install 'lipsort[{name}]'"
        assert extra["for"] and {*extra["installed"], *extra["missing"]}


BROKEN = {
    "an import that fails": ("raise ImportError('libot.so: no such file')", "libot.so"),
    "a crash": ("import os; os.kill(os.getpid(), 11)", "its process ended with -11"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_pieces_are_named(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of four packages: each takes its own time to import."""
    body, said = BROKEN[how]
    (tmp_path / "ot.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    required, extras = doctor.requirements()
    few = {name: required[name] for name in ("PyYAML", "POT", "rich", "typer")}
    monkeypatch.setattr(doctor, "requirements", lambda: (few, extras))
    assert doctor.doctor() == 1
    text = capsys.readouterr().out
    (fault,) = [line for line in text.splitlines() if line.startswith("fault:")]
    assert fault.startswith("fault: POT is broken") and said in fault
    assert "Something is wrong." in text
    for name in ("PyYAML", "rich", "typer"):  # before and after it
        assert any(line.split()[:1] == [name] and "works" in line for line in text.splitlines())


def test_versions_outside_the_range_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor._package("numpy>=999")
    assert "is installed; allowed: >=999" in found["fault"]
    assert doctor._package("no-such-thing>=1")["fault"] == "is not installed"
    monkeypatch.setattr(doctor, "_probe", lambda modules: {"fails": {}, "torch": None})
    monkeypatch.setattr(doctor, "requirements", lambda: ({"numpy": "numpy>=999"}, {}))
    assert doctor.examined()["faults"][0].startswith("numpy ")
