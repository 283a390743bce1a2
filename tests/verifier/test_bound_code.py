"""The bound code passes its checks, and no mutant of it does."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bound_checks
import pytest

import lipsort_cli.verifier

SEARCH = "lipsort_cli.certificates.search"
MUTANTS: dict[str, tuple[str, str, str]] = {
    "nothing changed": ("radii.py", "SMALLEST_TAIL = 2.0**-60", "SMALLEST_TAIL = 2.0**-60"),
    "gamma dropped": (
        "rounding.py",
        "else ceiling(product / (1 - product))",
        "else 0.0",
    ),
    "n u check skipped": (
        "rounding.py",
        "if product >= 1 else",
        "if product == 1 else",
    ),
    "> for >= in the n u check": (
        "rounding.py",
        "if product >= 1 else",
        "if product > 1 else",
    ),
    "rounding down": (
        "rounding.py",
        "    return np.nextafter(value, np.inf)",
        "    return np.nextafter(value, -np.inf)",
    ),
    "rounding to nearest": (
        "rounding.py",
        "    return np.nextafter(value, np.inf)",
        "    return value",
    ),
    "sqrt(2) replaced by 1": (
        "radii.py",
        "pairs = m.stack([m.norm(weight - weight[row], dual) for row in range(classes)])",
        "pairs = m.stack([m.norm(weight - weight[row], 'linf') for row in range(classes)])",
    ),
    "dual norm replaced": ("radii.py", "dual, linear = DUAL[norm]", "dual, linear = norm"),
    "residual dropped": (
        "linear.py",
        "m.upper(center) + frobenius(m, rest) + lost",
        "m.upper(center) + lost",
    ),
    "columns for rows": (
        "operations/dense.py",
        'rows if norm == "linf" else columns',
        'columns if norm == "linf" else rows',
    ),
    "largest for smallest std": (
        "operations/normalize.py",
        "smallest = min(layer.numbers[",
        "smallest = max(layer.numbers[",
    ),
    "body errors forgotten": (
        "radii.py",
        "pairs * (state.own * m.guard + state.d0)[:, None]",
        "pairs * (state.own * m.guard)[:, None]",
    ),
    "head errors forgotten": (
        "radii.py",
        "lost + other + other[row, labels][:, None]",
        "lost",
    ),
    "NaN let through": (
        "classification.py",
        "np.isfinite(points.inputs).all()",
        "True",
    ),
    "overflow let through": (
        "radii.py",
        "false.any(axis=1) | ~state.fits(radius), -1",
        "false.any(axis=1), -1",
    ),
    "wrong labels let through": ("radii.py", "(labels >= 0) & (labels < classes) &", ""),
    "ties let through": ("radii.py", "needed < lead", "needed <= lead + 2.0**-40"),
    "highest frequency left out": (
        "operations/_kernels.py",
        "np.ndindex(first // 2 + 1, second)",
        "np.ndindex(max(1, first // 2), second)",
    ),
    "torus too small": (
        "operations/_kernels.py",
        "-(-pixels // apart) + dilation * (size - 1) // stride",
        "-(-pixels // apart)",
    ),
    "correlations counted once": (
        "operations/_kernels.py",
        "residual + (frobenius(m, product) + lost) * 2.0",
        "residual + (frobenius(m, product) + lost)",
    ),
    "one side of the correlations": (
        "operations/_kernels.py",
        "sums + m.select(np.transpose, abs(product))",
        "sums",
    ),
    "residue classes of one axis only": (
        "operations/_kernels.py",
        "chosen = array[:, :, down == first][..., across == second]",
        "chosen = array[:, :, down == 1][..., across == 1]",
    ),
    "windows do not overlap": (
        "operations/max_pool.py",
        "overlap = -(-layer.size // layer.stride)",
        "overlap = layer.size // layer.stride",
    ),
    "skip forgotten": (
        "operations/residual.py",
        "return skip + branch * self.constants",
        "return branch * self.constants",
    ),
    "errors of a branch forgotten": (
        "operations/residual.py",
        "setattr(state, name, mixed(getattr(state, name), getattr(branch, name)))",
        "setattr(state, name, getattr(state, name))",
    ),
    "errors pass a pool unchanged": (
        "state.py",
        "self.d0 = constant * (self.d0 + ones * (4 * self.arithmetic.tiny))",
        "self.d0 = self.d0 + ones * (4 * self.arithmetic.tiny)",
    ),
    "underflow forgotten": (
        "rounding.py",
        "2.0**-24, 2.0**-126, 2.0**126",
        "2.0**-24, 0.0, 2.0**126",
    ),
    "a sentinel inferred from a length": (
        "operations/distance.py",
        "np.nextafter(1 - decay, 2.0) if decay > 0 else 1.0",
        "np.nextafter(1 - decay, 2.0) if kept > 1 else 1.0",
    ),
    "constants never vanish": (
        "operations/scale.py",
        "if abs(c) < 2 * state.arithmetic.tiny",
        "if abs(c) < 0",
    ),
}


def real(name: str) -> Any:
    return importlib.import_module(SEARCH if name == "search" else f"lipsort_cli.verifier.{name}")


@pytest.mark.parametrize("check", bound_checks.CHECKS, ids=lambda check: check.__name__)
def test_sound(check: Callable[..., None]) -> None:
    check(real)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, old, new = MUTANTS[name]
    package = f"mutant_{sorted(MUTANTS).index(name)}"
    source = Path(lipsort_cli.verifier.__file__).parent
    shutil.copytree(source, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    # The issuer's search goes along: it asks the verifier what its proposals prove.
    shutil.copy(importlib.import_module(SEARCH).__file__, tmp_path / package)
    for path in (tmp_path / package).rglob("*.py"):
        path.write_text(path.read_text().replace("lipsort_cli.verifier", package))
    text = (tmp_path / package / file).read_text()
    assert text.count(old) == 1, f"the code to mutate is not there exactly once: {old!r}"
    (tmp_path / package / file).write_text(text.replace(old, new))
    monkeypatch.syspath_prepend(str(tmp_path))

    def mutated(module: str) -> Any:
        return importlib.import_module(f"{package}.{module}")

    caught = []
    for check in bound_checks.CHECKS:
        try:
            check(mutated)
        except Exception:
            caught.append(check.__name__)
    for module in [key for key in sys.modules if key.split(".")[0] == package]:
        del sys.modules[module]
    if name == "nothing changed":
        assert not caught, "the harness itself breaks checks"
    else:
        assert caught, f"no check notices: {name}"
