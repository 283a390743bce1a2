"""The front door of Python: the same numbers as the commands', nothing heavy at import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lipsort_cli
from lipsort_cli.app import run as lipsort
from lipsort_cli.certificates.points import certify_points, load_network
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import Dense, MaxMin, Normalize
from lipsort_cli.verifier.verify import Verdict


def network(dim: int = 6) -> nn.Sequential:
    torch.manual_seed(0)
    body = nn.Sequential(Normalize([0.5], [2.0]), nn.Flatten(), Dense(dim, 8), MaxMin())
    return nn.Sequential(body, nn.Dropout(0.5), Dense(8, 3))


POINTS = torch.rand(20, 1, 2, 3, generator=torch.Generator().manual_seed(1))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, lipsort_cli; assert set(lipsort_cli.__all__) <= set(dir(lipsort_cli));"
        "print(sorted({'torch', 'numpy', 'typer', 'rich'} & set(sys.modules)));"
        "from lipsort_cli import verify; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]


def test_every_name_is_there_with_words() -> None:
    for name in lipsort_cli.__all__:
        found = getattr(lipsort_cli, name)
        assert callable(found) and len(found.__doc__ or "") > 100, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lipsort_cli.nothing  # noqa: B018


def test_a_module_is_certified_saved_verified_and_predicts(tmp_path: Path) -> None:
    net, folder = network(), tmp_path / "new" / "folder"
    assert net.training
    labels = torch.zeros(20, dtype=torch.int64)
    issued = lipsort_cli.certify(net, POINTS, labels, directory=folder, norm="linf", eps=[0.01])
    assert net.training and issued.points.norm == "linf"
    assert lipsort_cli.verify(folder).status == "VALID"
    read = load_network(folder / "model.safetensors")
    points = certify_points(read, POINTS.numpy(), None, norm="linf", arithmetic="binary32")
    for source in (net, folder, folder / "model.safetensors", str(folder)):
        found = lipsort_cli.predict(source, POINTS, norm="linf")
        assert found.classes.tolist() == points.predictions.tolist()
        assert found.radii == pytest.approx(points.radii, rel=1e-12) and found.names == (
            "0",
            "1",
            "2",
        )
        assert (found.margins > 0).all() and (found.runner_up != found.classes).all()
    net.eval()
    assert torch.allclose(lipsort_cli.load(folder)(POINTS), net(POINTS), atol=1e-6)
    assert lipsort_cli.predict(net, POINTS[0]).classes.tolist() == found.classes[:1].tolist()


def test_only_a_verdict_of_valid_is_true() -> None:
    found = {status: bool(Verdict(status)) for status in ("VALID", "INVALID", "UNSUPPORTED")}
    assert found == {"VALID": True, "INVALID": False, "UNSUPPORTED": False}
    assert not lipsort_cli.verify("nowhere")


def test_without_labels_predictions_are_certified(tmp_path: Path) -> None:
    issued = lipsort_cli.certify(network(), POINTS.numpy(), directory=tmp_path)
    assert (issued.points.radii > 0).all() and lipsort_cli.verify(tmp_path).status == "VALID"
    content = json.loads((tmp_path / "certificate.json").read_text())
    assert "the network's own predictions" in content["data"]["source"]
    assert content["points"]["label"] == content["points"]["prediction"]


def test_a_run_brings_its_points_columns_and_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 2)).round(2)
    lines = [f"{a},{b},{'yes' if a > 0 else 'no'}" for a, b in rows]
    (tmp_path / "a.csv").write_text("\n".join(["x,y,answer", *lines]) + "\n")
    run = tmp_path / "run"
    lipsort(["train", "data=table", f"data.path={tmp_path / 'a.csv'}", "data.label=answer",
             "model.widths=[4]", "training.epochs=1", "evaluation.attack.points=0",
             f"hydra.run.dir={run}"])  # fmt: skip
    issued = lipsort_cli.certify(run)
    assert issued.path == run / "certificate.json" and lipsort_cli.verify(run).status == "VALID"
    (tmp_path / "b.csv").write_text("y,x\n0.25,0.5\n")
    by_path = lipsort_cli.predict(run, tmp_path / "b.csv")
    by_array = lipsort_cli.predict(run, [[0.5, 0.25]])
    assert by_path.names == ("no", "yes") and by_path.radii == pytest.approx(by_array.radii)
    deviations = lipsort_cli.predict(run, [[0.5, 0.25]], units="deviations")
    assert deviations.classes == by_array.classes and deviations.radii != by_array.radii


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: lipsort_cli.certify(network(), POINTS), "directory: found None"),
        (lambda: lipsort_cli.certify(network(), directory="x"), "only a run has test points"),
        (lambda: lipsort_cli.predict(network().double(), POINTS), "weights of torch.float64"),
        (lambda: lipsort_cli.predict(network(), POINTS[:, :, :, :2]), r"shape \[1, 2, 2\]"),
        (lambda: lipsort_cli.predict(nn.Sequential(nn.GELU()), POINTS[:, 0, 0]), "layer GELU"),
        (lambda: lipsort_cli.predict(network(), POINTS, norm="l3"), "norm: found 'l3'; allowed"),
        (lambda: lipsort_cli.predict(network(), POINTS, arithmetic="bf16"), "arithmetic: found"),
        (lambda: lipsort_cli.predict(network(), (255 * POINTS).byte()), "found uint8"),
        (lambda: lipsort_cli.predict(network(), POINTS[:0]), "no rows"),
        (lambda: lipsort_cli.predict(network(), POINTS * torch.nan), "holds NaN"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()


class _Negated(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -super().forward(x)


class _Steeper(nn.ReLU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 5 * super().forward(x)


@pytest.mark.parametrize(
    "kind", ["chain", "layer", "hook", "before", "instance", "tuple", "double"]
)
def test_a_module_that_is_not_its_layers_one_after_the_other_is_refused(
    kind: str, tmp_path: Path
) -> None:
    """Certified would be the layers, which answer otherwise."""
    torch.manual_seed(0)
    layers = [Dense(4, 8), _Steeper() if kind == "layer" else nn.ReLU(), Dense(8, 3)]
    module = (_Negated if kind == "chain" else nn.Sequential)(*layers)
    if kind == "hook":
        module[2].register_forward_hook(lambda layer, given, found: -found)
    if kind == "tuple":
        module.register_forward_hook(lambda layer, given, found: (found, found))
    if kind == "double":
        module.register_forward_hook(lambda layer, given, found: -found.double())
    if kind == "before":
        module.register_forward_pre_hook(lambda layer, given: (-given[0],))
    if kind == "instance":
        module[0].forward = lambda x: -Dense.forward(layers[0], x)  # type: ignore[method-assign]
    inputs = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    for use in (lambda: lipsort_cli.predict(module, inputs),
                lambda: lipsort_cli.certify(module, inputs, directory=tmp_path)):  # fmt: skip
        with pytest.raises(UsageError, match="another layer than its kind"):
            use()
    assert not list(tmp_path.iterdir())
    assert all(part.training for part in module)


def test_a_module_is_not_certified_into_a_run(tmp_path: Path) -> None:
    """Its network would take the place of the run's."""
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"trained")
    with pytest.raises(UsageError, match="directory: found .* which holds another run"):
        lipsort_cli.certify(network(), POINTS, directory=tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == b"trained"
