"""Every example of README, docs/ and the help pages is run: in a folder of its own, and small.

Tutorials, and README's first five commands, run as they are written, in `test_examples.py`; the
page "Extend" in `tests/config/test_plugins.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import lipsort
from pages import PAGES, ROOT, Example, lines, skeleton, snippets
from workshop import SMALL, Workshop, small

SLOW = re.compile(
    r"mnist|reproduce|launcher|torchrun|tune|doctor|wgan|benchmarks|sweeper|distribution.run"
    r"|three_cones|train -m|points=500"
)
"""Lines that need real data, processes of their own, or more than a second."""

UNAVAILABLE = {"submitit_slurm": "needs a cluster"}

NEEDS_DATA = re.compile(r"mnist|reproduce|generator_distance.py")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


def _cases() -> Iterator[Any]:
    for line in lines():
        slow = [pytest.mark.slow] if SLOW.search(line) else []
        why = [reason for word, reason in UNAVAILABLE.items() if word in line]
        skipped = [pytest.mark.skip(reason=f"{line}: {why[0]}")] if why else []
        yield pytest.param(line, id=line, marks=[*slow, *skipped])


@pytest.mark.parametrize("line", [*_cases()])
def test_an_example_runs(
    line: str,
    workshop: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    if NEEDS_DATA.search(line):
        request.getfixturevalue("image_data")
    for tracker in ("mlflow", "wandb"):
        if tracker in line and "pip" not in line:
            pytest.importorskip(tracker)
    workshop.lay_out(line, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("lipsort_cli.gan.evaluation.features._STEPS", 5)
    example = Example(line, lines()[line])
    capfd.readouterr()
    code = _run(example, monkeypatch)
    said = capfd.readouterr()
    assert code == 0, said
    have = skeleton(said.out + said.err)  # lines may be wrapped elsewhere
    for text in example.shown:
        assert skeleton(text) in have, (line, text, have)


@pytest.mark.parametrize(("page", "block"), [(p.stem, b) for p in PAGES for b in snippets(p)])
def test_a_snippet_of_python_runs(
    page: str, block: str, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves to the reader (a module, inputs, labels) is given to it."""
    import torch

    workshop.lay_out(f"lipsort {'wgan' if 'generator' in block else 'verify'} RUN", tmp_path)
    monkeypatch.chdir(tmp_path)
    given = {
        "module": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)),
        "inputs": torch.rand(5, 1, 28, 28),
        "labels": torch.arange(5),
    }
    exec(compile(block, page, "exec"), given)


def _run(example: Example, monkeypatch: pytest.MonkeyPatch) -> int:
    program, *words = example.words
    if program == "make":  # what it runs; the recipe itself would run these tests, for example
        return subprocess.run(["make", "-n", *words], cwd=ROOT, check=False).returncode
    if program == "pip":
        return _extras_exist(words[-1])
    if program == "lipsort":
        if example.arguments[0] == "reproduce":
            _shorten(monkeypatch)
        return lipsort(monkeypatch, *small(example))
    if program == "torchrun":
        at = example.words.index("lipsort_cli") + 1
        words = ["-m", "torch.distributed.run", *example.words[1:at], *small(example)]
    else:
        assert program == "python", f"{example.line}: teach this test to run it"
        words = [str(ROOT / words[0]), *words[1:], "--seeds", "1", "--override", "training.steps=3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], env=environment, check=False).returncode


def _extras_exist(word: str) -> int:
    """Whether `pip install 'lipsort[A,B]'` names extras that there are; 0 if so."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.fullmatch(r"lipsort\[([\w,]+)\]|\.", word)
    assert found is not None, word
    return len(set(filter(None, (found[1] or "").split(","))) - set(known["optional-dependencies"]))


def _shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the jobs of a reproduction small, and one seed of each."""
    from lipsort_cli.commands import reproduce
    from lipsort_cli.reproduction import plan, sizes
    from lipsort_cli.reproduction.jobs import command_of

    real = sizes.jobs_of

    def jobs_of(preset: str, out: Path, seeds: list[int], mode: str) -> list[Any]:
        line = Example(f"lipsort {command_of(preset)} experiment={preset}")
        words = tuple(word for word in small(line)[2:] if word.partition("=")[0] in SMALL)
        return real(preset, out, seeds[:1], mode, words)

    monkeypatch.setattr(plan, "jobs_of", jobs_of)
    # Of networks that have learnt nothing the paper's orderings need not hold.
    conclude = reproduce._conclude
    monkeypatch.setattr(reproduce, "_conclude", lambda *words: min(0, conclude(*words)))
