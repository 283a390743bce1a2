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

MUTANTS: dict[str, tuple[str, str, str]] = {
    "nothing changed": ("radii.py", "SLACK = 2.0**-40", "SLACK = 2.0**-40"),
    "gamma dropped": (
        "rounding.py",
        "    if product == 0:\n        return 0.0\n",
        "    if product < 1:\n        return 0.0\n",
    ),
    "n u check skipped": (
        "rounding.py",
        "    if product >= 1:\n        return math.inf\n",
        "    if product == 1:\n        return math.inf\n",
    ),
    "> for >= in the n u check": (
        "rounding.py",
        "    if product >= 1:",
        "    if product > 1:",
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
        "pair = norm_up(np.array([1.0, -1.0]), dual)",
        "pair = 1.0",
    ),
    "dual norm replaced": ("radii.py", "dual = DUAL[norm]", "dual = norm"),
    "residual dropped": (
        "bounds.py",
        "add_up(center, _frobenius(residual), error)",
        "add_up(center, error)",
    ),
    "columns for rows": (
        "bounds.py",
        "sums = inflate(absolute.sum(axis=1), weight.shape[1])",
        "sums = inflate(absolute.sum(axis=0), weight.shape[1])",
    ),
    "largest for smallest std": ("bounds.py", "up(1.0 / std.min())", "up(1.0 / std.max())"),
    "body errors forgotten": (
        "radii.py",
        "mul_up(pairs, add_up(guard * state.d64, state.d0)[:, None])",
        "mul_up(pairs, add_up(guard * state.d64, 0.0)[:, None])",
    ),
    "head errors forgotten": (
        "radii.py",
        "add_up(other, other[row, chosen][:, None])",
        "0.0 * other",
    ),
    "NaN let through": ("radii.py", "good = allowed & finite &", "good = allowed &"),
    "overflow let through": (
        "radii.py",
        "good &= state.fits(np.where(good, smallest, 0.0), arithmetic)",
        "good &= True",
    ),
    "wrong labels let through": (
        "radii.py",
        "(predictions == labels) & (smallest > 0)",
        "(smallest > -1)",
    ),
    "highest frequency left out": (
        "convolution_bounds.py",
        "np.outer(np.arange(first // 2 + 1), np.arange(height))",
        "np.outer(np.arange(max(1, first // 2)), np.arange(height))",
    ),
    "torus too small": (
        "convolution.py",
        "found.append(pixels + dilation * (size - 1) // stride)",
        "found.append(pixels)",
    ),
    "correlations counted once": (
        "convolution_bounds.py",
        "residual = add_up(residual, 2 * size_of)",
        "residual = add_up(residual, size_of)",
    ),
    "one side of the correlations": (
        "convolution_bounds.py",
        "sums += np.abs(product) + np.abs(product.T)",
        "sums += np.abs(product)",
    ),
    "residue classes of one axis only": (
        "convolution.py",
        "chosen = grouped[:, :, down == first][..., across == second]",
        "chosen = grouped[:, :, down == 1][..., across == 1]",
    ),
    "windows do not overlap": (
        "bounds.py",
        "overlap = -(-layer.size // layer.stride)",
        "overlap = layer.size // layer.stride",
    ),
    "skip forgotten": (
        "bounds.py",
        "add_up(skip, mul_up(branch, inner[0]))",
        "mul_up(branch, inner[0])",
    ),
    "errors of a branch forgotten": (
        "evaluation.py",
        "add_up(mixed(state.d0, branch.d0), mul_up(error, base)",
        "add_up(mixed(0.0, 0.0), mul_up(error, 0 * base)",
    ),
    "errors pass a pool unchanged": (
        "evaluation.py",
        "mul_up(lipschitz, add_up(state.d0, 4 * arithmetic.tiny * ones))",
        "add_up(state.d0, 4 * arithmetic.tiny * ones)",
    ),
    "underflow forgotten": (
        "rounding.py",
        "2.0**-24, 2.0**-126, 2.0**126",
        "2.0**-24, 0.0, 2.0**126",
    ),
}


def real(name: str) -> Any:
    return importlib.import_module(f"lipsort_cli.verifier.{name}")


@pytest.mark.parametrize("check", bound_checks.CHECKS, ids=lambda check: check.__name__)
def test_sound(check: Callable[..., None]) -> None:
    check(real)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, old, new = MUTANTS[name]
    package = f"mutant_{sorted(MUTANTS).index(name)}"
    source = Path(lipsort_cli.verifier.__file__).parent
    shutil.copytree(source, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / package).glob("*.py"):
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
