"""What all tests share: no deadlines (machines are noisy), the same examples in every run."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import fuzz

settings.register_profile("lipsort", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lipsort")


def pytest_configure() -> None:
    """Leave what the tests write to the system's cache: only a machine that fails would lose it.

    And let the processes that they start find the package compiled, whatever the environment says:
    each of a hundred would compile it again.
    """
    os.fsync = lambda _: None  # type: ignore[assignment]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """What thousands of tests are made of stays to the end: the collector need not look at it.

    Nor often at what else there is: as a command does, and its process lives less long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(autouse=True)
def no_job_of_another_test() -> None:
    """Hydra keeps the last job of a process as a global, whose folder commands would stand in."""
    if hydra := sys.modules.get("hydra.core.hydra_config"):
        hydra.HydraConfig.instance().cfg = None


@pytest.fixture(scope="session", autouse=True)
def real_savefig() -> Iterator[Any]:
    """Compose pictures, but leave them empty: to paint them takes half the time of a small run.

    In runs that tests share as well. Those marked ``pictures`` are painted.
    """
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        real = Figure.savefig
        patch.setattr(Figure, "savefig", _blank)
        yield real


@pytest.fixture(autouse=True)
def painted(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, real_savefig: Any
) -> None:
    """Paint pictures, where a test is marked so."""
    if request.node.get_closest_marker("pictures") is not None:
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", real_savefig)


def _blank(self: object, file: Any, **_: Any) -> None:
    file.write(fuzz.PIXEL + bytes(1000))


@pytest.fixture(scope="session")
def image_data() -> Path:
    """The folder of MNIST and Fashion-MNIST; tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("LIPSORT_DATA", "data"))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST under {root}: set LIPSORT_DATA to the folder that holds it")
    return root


HOLD = (
    "import sys, time; from pathlib import Path; from lipsort_cli.identity import locked\n"
    "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works in ``directory``; killed at the end."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def held() -> Any:
    """Let another process work in a run directory: `with held(directory) as process`."""
    return _held


@pytest.fixture
def interrupting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Press Ctrl-C in the middle of steps of a kind of task, once each: `interrupting(kind, 3)`."""

    def press(kind: Any, *steps: int) -> None:
        pending, step = list(steps), kind.step

        def pressed(self: Any) -> None:
            if pending and self.at.step == pending[0]:
                pending.pop(0)
                signal.raise_signal(signal.SIGINT)
            step(self)

        monkeypatch.setattr(kind, "step", pressed)

    return press
