"""Runs of imported networks: every command takes them; Python makes them of torch's modules."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.utils import prune

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from networks_from_elsewhere import (
    EXPORTERS,
    SHAPE,
    digits,
    export,
    measure,
    networks,
    plain_form,
)

import lipsort_cli
from lipsort_cli.app import run
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.imports import model as reading
from lipsort_cli.imports.model import Refused, read_model
from lipsort_cli.imports.network import import_network
from lipsort_cli.zoo.plain import plain_module

NEEDS_SCRIPT = pytest.mark.skipif(find_spec("onnxscript") is None, reason="needs onnxscript")


def settled(name: str) -> nn.Module:
    """A network of the table with statistics of its own, untrained."""
    torch.manual_seed(0)
    module = networks()[name]()
    with torch.no_grad():
        for _ in range(3):
            module(torch.rand(64, *SHAPE))
    return plain_form(module)


@pytest.mark.parametrize("name", networks())
def test_networks_from_elsewhere_are_certified(name: str) -> None:
    """Outputs of ONNX Runtime and of the module itself; at no point steeper than proven; VALID."""
    _, _, x, y = digits()
    row = measure(name, "TorchScript", settled(name), x[:6], y[:6])
    assert row.apart < 1e-5
    assert row.verdict == "VALID"
    assert row.at_least <= row.proven * (1 + 1e-5)
    if row.claimed == "1":
        assert row.proven < 1.001


@NEEDS_SCRIPT
@pytest.mark.slow
@pytest.mark.parametrize("name", networks())
def test_both_exporters_give_the_same(name: str, tmp_path: Path) -> None:
    found = []
    for dynamo in EXPORTERS.values():
        path = tmp_path / f"{dynamo}.onnx"
        path.write_bytes(export(settled(name), dynamo))
        found.append(plain_module(import_network(read_model(path)).network)(digits()[2][:9]))
    assert torch.allclose(*found, atol=1e-5 * float(found[0].abs().max()))


def test_every_command_takes_an_imported_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(export(settled("CNN, BatchNorm"), dynamo=False))
    words = ["import", "net.onnx", "points=20", "hydra.run.dir=net"]
    assert run(words) == 0
    results = json.loads(Path("net/results.json").read_text())
    assert results["agreement"]["evidence"] == "empirical"
    assert results["agreement"]["largest_difference"] < 1e-5
    assert results["source"]["evidence"] == "imported"
    assert [layer["op"] for layer in results["layers"]][-1] == "dense"
    assert "convolution" in Path("net/summary.md").read_text()
    with pytest.raises(UsageError, match="data: required.*add data=OPTION"):
        run(["certify", "net"])
    assert run(["certify", "net", "data=digits", "points=30"]) == 0
    assert run(["verify", "net", "--exact"]) == 0
    assert run(["attack", "net", "data=digits", "points=5", "methods=[pgd]"]) == 0
    assert run(["inspect", "net", "data=digits", "points=8"]) == 0
    assert run(["export", "net", "data=digits", "formats=[safetensors,onnx]", "points=9"]) == 0
    assert run(["verify", "net/export", "--network", "net/export/model.onnx"]) == 0
    np.savez("new.npz", x_test=np.zeros((3, *SHAPE), np.float32), y_test=np.zeros(3, int))
    assert run(["predict", "net", "new.npz"]) == 0
    assert run(["report", "net"]) == 0


def test_with_data_and_a_normalisation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Radii are in units of raw inputs: a deviation of 1/4 makes them four times smaller."""
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(export(settled("MLP"), dynamo=False))
    found = []
    for name, words in (("plain", []), ("scaled", ["mean=[0.5]", "std=[0.25]"])):
        given = ["import", "net.onnx", "data=digits", "points=20", *words]
        assert run([*given, f"hydra.run.dir={name}"]) == 0
        found.append(json.loads(Path(name, "results.json").read_text()))
        assert "clean_accuracy" in found[-1]
    assert found[1]["lipschitz_bound"] == pytest.approx(4 * found[0]["lipschitz_bound"], rel=1e-6)
    with pytest.raises(UsageError, match="std: found 2 numbers; allowed: one, or 1"):
        run(["import", "net.onnx", "std=[1,2]", "hydra.run.dir=other"])
    with pytest.raises(UsageError, match=r"data: found inputs of shape \[1, 28, 28\]"):
        run(["certify", "plain", "data=mnist"])


def test_the_data_of_a_training_run_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(["train", "training.epochs=1", "evaluation.attack.points=0", "hydra.run.dir=own"])
    with pytest.raises(UsageError, match="data: found digits.*judged on its own data"):
        run(["certify", "own", "data=digits"])


def test_what_cannot_be_imported_leaves_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    softmax = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1))
    Path("net.onnx").write_bytes(export(softmax.eval(), dynamo=False))
    with pytest.raises(Refused, match=r"net.onnx: node '/2/Softmax' \(Softmax\): a margin"):
        run(["import", "net.onnx"])
    with pytest.raises(UsageError, match="missing.onnx, which does not exist"):
        run(["import", "missing.onnx"])
    with pytest.raises(UsageError, match="file: required"):
        run(["import"])

    def absent() -> Any:
        raise LipsortError(f"importing networks needs the package onnx: {reading.INSTALL}")

    monkeypatch.setattr(reading, "package", absent)
    with pytest.raises(LipsortError, match=r"pip install 'lipsort\[import\]'"):
        run(["import", "net.onnx"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04...", "zip archive, as torch.save.*from_torch"),
        (b"\x80\x02}...", "pickle.*from_torch"),
        (b"\x10\0\0\0\0\0\0\0{}              ", "safetensors: weights without the layers"),
        (b"\x89HDF\r\n", "HDF5.*tf2onnx"),
        (b"\x1f\x8b\x08", "gzip .unpack it"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path: Path, content: bytes, words: str) -> None:
    """Weights without a network above all, with the way to one."""
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"file: found .*{words}.*allowed: an ONNX file"):
        read_model(path)


def test_a_shape_is_asked_for_and_compared_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(export(settled("MLP"), dynamo=False))
    with pytest.raises(
        UsageError, match=r"net.onnx: input_shape: found \[1, 9, 9\]; allowed: \[1, 8"
    ):
        run(["import", "net.onnx", "input_shape=[1,9,9]"])
    held = io.BytesIO()
    open_size = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)).eval()
    torch.onnx.export(
        open_size, (torch.zeros(1, 1, 8, 8),), held, dynamo=False, input_names=["x"],
        dynamic_axes={"x": {2: "H", 3: "W"}},
    )  # fmt: skip
    Path("open.onnx").write_bytes(held.getvalue())
    with pytest.raises(UsageError, match="open.onnx: input_shape: required, and not given"):
        run(["import", "open.onnx"])


@pytest.mark.parametrize("outputs", [1, 7])
def test_data_of_more_classes_than_outputs_are_refused_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: int
) -> None:
    """Labels that no output stands for are neither wrong answers nor a traceback."""
    monkeypatch.chdir(tmp_path)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, outputs)).eval()
    Path("net.onnx").write_bytes(export(module, dynamo=False))
    assert run(["import", "net.onnx", "points=5", "hydra.run.dir=net"]) == 0
    if outputs == 1:
        for command in ("certify", "attack"):
            with pytest.raises(UsageError, match="network: found one output; allowed: two or"):
                run([command, "net", "data=digits", "points=5"])
        assert run(["inspect", "net", "data=digits", "points=5"]) == 0
        return
    for words in (["import", "net.onnx", "hydra.run.dir=b"], ["certify", "net"], ["attack", "net"],
                  ["inspect", "net"]):  # fmt: skip
        with pytest.raises(UsageError, match="data: found digits, of 10 classes; .*network has 7"):
            run([*words, "data=digits", "points=5"])
    Path("flat").mkdir()
    for k in range(9):
        Image.fromarray(np.full((8, 8), 20 * k, np.uint8)).save(f"flat/{k}.png")
    with pytest.raises(UsageError, match="data: found flat, of 1 class; allowed: labels of two"):
        run(["certify", "net", "data=folder", "data.path=flat"])


@NEEDS_SCRIPT
@pytest.mark.parametrize("name", ["spectral_norm", "pruned", "wrapped", "compiled"])
def test_modules_as_they_are_found(tmp_path: Path, name: str) -> None:
    """Weights that hooks compute, and what is wrapped around a module."""
    torch.manual_seed(0)
    module: Any = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    if name == "spectral_norm":
        nn.utils.spectral_norm(module[0])
        module(torch.rand(2, 4))
    elif name == "pruned":
        prune.l1_unstructured(module[0], "weight", 0.5)
    else:
        module = nn.DataParallel(module) if name == "wrapped" else torch.compile(module)
    lipsort_cli.from_torch(module, (4,), tmp_path / "run")
    inner = getattr(module, "module", getattr(module, "_orig_mod", module)).eval()
    inputs = torch.rand(5, 4)
    assert torch.allclose(lipsort_cli.load(tmp_path / "run")(inputs), inner(inputs), atol=1e-5)


class Answers(nn.Module):
    """A linear map whose answer is put in another form."""

    def __init__(self, form: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.map, self.form = nn.Linear(4, 3), form

    def forward(self, x: torch.Tensor) -> Any:
        return self.form(self.map(x))


@NEEDS_SCRIPT
@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Linear(4, 3).state_dict(), "module: found .*its weights loaded"),
        (torch.jit.trace(nn.Linear(4, 3), torch.zeros(1, 4)), "module: found one of torch.jit"),
        (nn.LazyLinear(3), "cannot be copied.*weights have values"),
        (nn.Linear(4, 3, device="meta"), "cannot be copied.*weights have values"),
        (nn.Linear(5, 3), r"fails at torch.float32 inputs of shape \[4\]: RuntimeError: mat1"),
        (nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3).double()), "fails at torch.float32"),
        (Answers(lambda y: {"logits": y}), "returns a dict; allowed: one tensor"),
        (Answers(lambda y: (y,)), "returns a tuple; allowed: one tensor"),
        (Answers(lambda y: y - y.mean(0)), "inputs would share it"),
        (Answers(lambda y: y + y.flip(0)), "in a batch than alone"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_what_is_no_network_is_refused_in_words(tmp_path: Path, module: Any, words: str) -> None:
    with pytest.raises(LipsortError, match=words):
        lipsort_cli.from_torch(module, (4,), tmp_path / "run")
    assert not list(tmp_path.rglob("*.onnx"))


@NEEDS_SCRIPT
def test_from_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parametrised weights, dropout and batch statistics: as they are in evaluation, untouched."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.utils.parametrizations.orthogonal(nn.Linear(64, 32)), nn.ReLU(),
        nn.BatchNorm1d(32), nn.Dropout(), nn.Linear(32, 10),
    )  # fmt: skip
    before = {key: value.clone() for key, value in module.state_dict().items()}
    run_directory = lipsort_cli.from_torch(module, SHAPE)
    assert run_directory.parent.parent == tmp_path / "outputs" / "import"
    assert module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    _, _, x, y = digits()
    issued = lipsort_cli.certify(run_directory, x[:20], y[:20])
    assert lipsort_cli.verify(issued.path.parent).status == "VALID"
    with torch.no_grad():
        wanted = module.eval()(x[:20])
    assert torch.allclose(lipsort_cli.load(run_directory)(x[:20]), wanted, atol=1e-5)
    found = lipsort_cli.predict(run_directory, x[:20])
    assert (found.classes == wanted.argmax(1).numpy()).all()
    with pytest.raises(UsageError, match="not empty"):
        lipsort_cli.from_torch(module, SHAPE, run_directory)


@NEEDS_SCRIPT
def test_what_depends_on_values_is_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(LipsortError, match="cannot export Branching"):
        lipsort_cli.from_torch(Branching(), (4,), tmp_path / "a" / "run")
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == ""  # not the exporter's graphs
    with pytest.raises(UsageError, match="std"):  # seen after the export alone
        lipsort_cli.from_torch(nn.Linear(4, 2), (4,), tmp_path, std=[1.0, 2.0])
    assert not list(tmp_path.iterdir())
    lipsort_cli.from_torch(nn.Linear(4, 2), (4,), tmp_path, eps=[0.5, 0.1])
    assert lipsort_cli.load(tmp_path)(torch.ones(1, 4)).shape == (1, 2)
