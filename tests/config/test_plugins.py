"""Options of other packages: the page "Extend" followed literally, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from lipsort_cli.config import plugins
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.errors import UsageError
from lipsort_cli.extend import Split, choice, make_dataset
from lipsort_cli.training.losses import build_loss
from lipsort_cli.zoo.build import build_network
from lipsort_cli.zoo.factories import build_activation

PAGE = (Path(__file__).parents[2] / "docs" / "extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.M | re.S))
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)


def run(*words: str, folder: Path, path: str = "", code: int = 0) -> str:
    """A command line in a process of its own, with ``path`` to import from; what it says."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "300"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), path]))
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of the page, and the file that it predicts."""
    folder = tmp_path_factory.mktemp("extend")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "new.csv").write_text("width,length\n0.5,1.5\n")
    return folder


@pytest.mark.slow
def test_the_page_is_followed_literally(here: Path) -> None:
    site, installed = here / "site", False
    for block in BLOCKS:
        lines = block.splitlines()
        for number, line in enumerate(lines):
            if not line.startswith("$ "):
                continue
            program, *words = shlex.split(line[2:])
            shown = [text for text in lines[number + 1 : number + 2] if not text.startswith("$ ")]
            if program == "pip":
                # Into a folder of its own: the environment of the tests stays as it is.
                options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(site)]
                run("pip", *words, *options, folder=here)
                # From now on the package is found where it is installed alone.
                (here / "herbarium").rename(here / "moved")
                installed = True
                continue
            refused = bool(shown) and shown[0].startswith("lipsort: ")
            path = str(site) if installed else ""
            said = run("lipsort_cli", *words, folder=here, path=path, code=2 if refused else 0)
            assert all(text in said for text in shown), (line, said)
    record = json.loads((here / "first" / "run.json").read_text())
    values = record["configuration"]["values"]
    assert values["plugins"] == ["herbarium"] and values["data.plugin"].startswith("herbarium ")
    results = json.loads((here / "third" / "results.json").read_text())
    assert "Softsign" in results["no_certificate"] and "certified_accuracy" not in results
    # While it trained, it was right as often as afterwards, though nothing bounds its slope.
    lines = (here / "third" / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    seen = [line["accuracy"] for line in logged]
    assert min(seen) > 0.3 and results["clean_accuracy"] > 0.3
    assert all(line["certified_accuracy_estimate"] == 0 for line in logged)
    # Offered in help and completion, found by its entry point.
    said = run("lipsort_cli", "train", "data=leaves", "--help", folder=here, path=str(site))
    assert "softsign" in said and "leaves (>= 10)" in said
    shell = (
        "from lipsort_cli.cli.complete import candidates; print(candidates(['train'], 'loss=sq'))"
    )
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{site}"}
    done = subprocess.run(
        [sys.executable, "-c", shell], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['loss=squared_hinge']\n"
    # Other code is another run.
    code = site / "herbarium" / "layers.py"
    code.write_text(code.read_text() + "\n")
    record["status"] = "interrupted"
    (here / "first" / "run.json").write_text(json.dumps(record))
    said = run("lipsort_cli", "train", "resume=first", folder=here, path=str(site), code=2)
    assert "data.plugin: found herbarium" in said


def test_a_critic_of_which_nothing_can_be_proven_is_refused_before_training(here: Path) -> None:
    folder = here if (here / "herbarium").exists() else here / "site"
    said = run("lipsort_cli", "estimate-wasserstein", "plugins=[herbarium]", "activation=softsign",
               "hydra.run.dir=critic", folder=folder, code=1)  # fmt: skip
    assert "layer Softsign: the verifier has no operation" in said and "step" not in said


def test_a_preset_without_its_package_is_explained(here: Path) -> None:
    preset = here / "mine" / "experiment" / "trap.yaml"
    preset.write_text("# Mine.\ntraining:\n  epochs: 2\n")
    said = run(
        "lipsort_cli", "train", "--config-dir", "mine", "experiment=trap", folder=here, code=2
    )
    assert "does not say `# @package _global_`" in said and "make that its first line" in said


class Made:
    """Something."""

    def make(self) -> Any:
        """Nothing."""


@pytest.mark.parametrize(
    "group, name, kind, words",
    [
        ("optimizer", "mine", Made, "found group 'optimizer'; allowed: activation, data"),
        ("activation", "relu", Made, "activation=relu exists already, in lipsort_cli.config"),
        ("loss", "my loss", Made, "found name 'my loss'; allowed: letters"),
        ("loss", "mine", type("Bare", (), {"__doc__": "Bare."}), "has no method make"),
    ],
)
def test_what_a_plugin_may_not_add_is_refused(group: str, name: str, kind: Any, words: str) -> None:
    before = dict(GROUPS[group])
    with pytest.raises(UsageError, match=words):
        choice(group, name)(kind)
    assert GROUPS[group] == before


def test_what_make_returns_is_held_against_what_it_should() -> None:
    option = SimpleNamespace(name="mine", make=lambda *given: len(given))
    for build, what in (
        (lambda: build_activation(cast(Any, option)), "Module"),
        (lambda: build_network(cast(Any, option), *[cast(Any, None)] * 2, [2], 3), "Iterable"),
        (lambda: build_loss(cast(Any, option)), "Callable"),
    ):
        with pytest.raises(UsageError, match=rf"make: found int; allowed: .*\.{what}"):
            build()
    option.make = lambda *given: [nn.Flatten(), nn.Linear(2, 5)]
    with pytest.raises(UsageError, match=r"model=mine: found outputs of shape \[5\]; allowed: \[3"):
        build_network(cast(Any, option), *[cast(Any, None)] * 2, [2], 3)
    for layers, words in (
        ([nn.Flatten(), nn.Linear(7, 3)], r"inputs \[2, 2\] \(mat1 and mat2"),
        (["flatten"], "str is not a Module"),
    ):
        option.make = lambda *given, layers=layers: layers
        with pytest.raises(UsageError, match=f"model=mine: what its make.. returns .*{words}"):
            build_network(cast(Any, option), *[cast(Any, None)] * 2, [2], 3)
    option.make = lambda: lambda logits, labels: logits
    with pytest.raises(UsageError, match=r"loss=mine: found shape \[4, 3\]; allowed: a tensor of"):
        build_loss(cast(Any, option))(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"inputs": torch.zeros(6, 2).double()}, "found inputs torch.float64 .6, 2. and labels"),
        ({"inputs": np.zeros((6, 2), np.float32)}, "found inputs float32 .* allowed: tensors"),
        ({"labels": torch.arange(5)}, r"labels torch.int64 \[5\]; allowed"),
        ({"labels": torch.arange(6).int()}, "labels torch.int32"),
        ({"labels": torch.arange(6) - 1}, "found labels from -1 to 4; allowed: 0 to"),
        ({"labels": torch.arange(6) + 9}, "found 6 names; allowed: 15, one a class"),
        ({"inputs": torch.zeros(6, 3)}, r"inputs of shape \[3\] beside \[2\]; allowed: one shape"),
        ({"inputs": torch.full((6, 2), 1.5)}, r"from 1.5 to 1.5; allowed: .* bounds=\(0, 1\)"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(change: dict[str, Any], words: str) -> None:
    good = {"inputs": torch.zeros(6, 2), "labels": torch.arange(6)}
    with pytest.raises(UsageError, match=words):
        make_dataset("mine", Split(**good), Split(**good | change), validation=0.2, bounds=(0, 1),
                     names=tuple("abcdef"))  # fmt: skip


def test_plugins_that_cannot_be_imported(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    with pytest.raises(UsageError, match="found no_such_module, which cannot be imported"):
        plugins.load(["no_such_module"])
    assert plugins.named(["plugins=[a.b, c]", "x=1"]) == ["a.b", "c"]
    assert plugins.named(["plugins=a", "plugins=[os;x]"]) == ["a"]
    # What an option says of itself needs no explanation.
    (tmp_path / "wilted.py").write_text(
        "from lipsort_cli.extend import choice\n"
        "@choice('constraint', 'mine')\nclass Mine:\n    'Mine.'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=r"^wilted.Mine: found group 'constraint'; allowed: act"):
        plugins.load(["wilted"])
    # One that is installed and broken costs a line, not the command.
    (tmp_path / "broken_herbarium.py").write_text("raise ValueError('withered')\n")
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        "[lipsort.plugins]\nb = broken_herbarium\n\n[other]\nx = y\n"
    )
    plugins.load_installed()
    assert capsys.readouterr().err == "lipsort: plugin broken_herbarium: withered\n"


BLIGHT = """
from lipsort_cli.extend import choice, option


@choice("loss", "blight")
class Blight:
    'One that fails.'

    at_once: bool = option(False, "fail before anything is made")

    def faults(self):
        if self.at_once:
            raise RuntimeError
        return ()

    def make(self):
        return lambda logits, labels: {}["leaf"]
"""


@pytest.mark.parametrize("words, fault, line", [
    ((), "KeyError: 'leaf'", 17), (("loss.at_once=true",), "RuntimeError", 13),
])  # fmt: skip
def test_what_a_plugin_raises_is_one_message(
    words: tuple[str, ...], fault: str, line: int, tmp_path: Path
) -> None:
    file = tmp_path / "blight.py"
    file.write_text(BLIGHT)
    words = ("lipsort_cli", "train", "plugins=[blight]", "loss=blight", "training.epochs=1", *words)
    said = run(*words, folder=tmp_path, code=1)
    assert f"lipsort: plugin blight: {fault} ({file}, line {line}); LIPSORT_DEBUG=1 b" in said
    assert "Traceback" not in said
