"""What is given wrongly in Python: one message for each, and no file is touched."""

from __future__ import annotations

import errno
import gc
import io
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import lipsort_cli as lipsort
from lipsort_cli.app import run as command
from lipsort_cli.errors import ArgumentError, LipsortError, UsageError
from lipsort_cli.layers import (
    AveragePool,
    Concatenate,
    Dense,
    DepthToSpace,
    GroupSort,
    MaxMin,
    Maxout,
    Normalize,
    OrthogonalConvolution,
    Residual,
    Scale,
    Select,
    SpaceToDepth,
    Sum,
    TransposedConvolution,
)
from lipsort_cli.layers.distance import Distance
from lipsort_cli.layers.extension import Extension
from lipsort_cli.layers.order import Versus, WeightedOrder
from lipsort_cli.layers.order_filter import OrderFilter
from lipsort_cli.optim import build_optimizer, keep_constraints
from lipsort_cli.zoo.network import Network
from lipsort_cli.zoo.operations import NoPlainForm, network_graph

ROWS = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
LABELS = [0, 1, 0, 1, 0, 1]
MASKED = np.ma.masked_array(ROWS, ROWS > 0)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(Dense(2, 4), MaxMin(), Dense(4, 2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run on a table, a certificate of a module, and new data."""
    folder = tmp_path_factory.mktemp("made")
    lines = [f"{a},{b},{'yes' if a > 0 else 'no'}" for a, b in np.tile(ROWS, (6, 1)).tolist()]
    (folder / "t.csv").write_text("\n".join(["x,y,answer", *lines]) + "\n")
    command(["train", "data=table", f"data.path={folder / 't.csv'}", "data.label=answer",
             "model.widths=[4]", "training.epochs=1", "evaluation.attack.points=0",
             "evaluation.norm=linf", "evaluation.eps=[0.02]",
             f"hydra.run.dir={folder / 'run'}"])  # fmt: skip
    lipsort.certify(network(), ROWS, LABELS, directory=folder / "issued")
    np.save(folder / "new.npy", ROWS)
    np.savez(folder / "new.npz", x=ROWS)
    (folder / "new.csv").write_text("x,y\n0.5,0.25\n")
    (folder / "gap.csv").write_text("x,y\n0.5,0.25\n0.5,\n")
    (folder / "comma.csv").write_text('x,y\n0.5,"0,25"\n0.5,0.5\n0.5,1.5\n')
    (folder / "other.csv").write_text("a,b\n0.5,0.25\n")
    (folder / "new.xyz").write_text("")
    (folder / "empty").mkdir()
    (folder / "critic").mkdir()
    (folder / "critic" / "run.json").write_text('{"command": "wgan", "status": "finished"}')
    yield folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in sorted(folder.rglob("*"))}


def sparse(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(values)).to_sparse()


class Shapeless:
    """As a nested tensor is: what asks for its shape is told off."""

    @property
    def shape(self) -> Any:
        raise RuntimeError("no sizes")


INPUTS = {
    "masked": (MASKED, "masked"),
    "masked in a list": ([MASKED[0], MASKED[1]], "masked"),
    "ragged": ([[1.0, 2.0], [3.0]], "list|found"),
    "sparse": (sparse(ROWS), "found Tensor of torch.float32"),
    "text": ([["a", "b"]], "found"),
    "a number": (3.0, "found 3.0"),
    "whole": (np.array([[1, 2]]), "found int64"),
    "whole, too large": ([[2**60 + 1, 0.5]], "found 1152921504606846977.*2..53"),
    "without a shape": (Shapeless(), "found a Shapeless"),
    "a file": (io.StringIO(), "found <.*StringIO"),
    "complex": (ROWS + 0j, "complex"),
    "wider": (ROWS[:, :1].repeat(3, 1), "shape"),
    "nan": (ROWS * np.nan, "NaN"),
    "rounded": (np.longdouble(ROWS) + np.longdouble(2) ** -60, "found (float|longdouble)"),
    "no rows": (ROWS[:0], "found no rows"),
}


class Frame:
    """A table in memory, as pandas and polars have them."""

    def __init__(self, **columns: Any) -> None:
        self.held = {name: np.asarray(values) for name, values in columns.items()}
        self.columns = list(columns)
        self.shape = (len(next(iter(self.held.values()))), len(columns))

    def __getitem__(self, name: str) -> Any:
        return self.held[name]

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.stack([*self.held.values()], 1)


class Row:
    """One row of such a table."""

    def __init__(self, **values: float) -> None:
        self.index, self.held, self.shape = list(values), [*values.values()], (len(values),)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.array(self.held)


X, Y = ROWS.T
FRAMES = {
    "of other names": (Frame(a=X, b=Y), {}, r"inputs: lacks x, y.*columns=\[...\]"),
    "of words": (Frame(x=X, y=["a"] * 6), {}, "inputs, column 'y': found .*allowed: numbers"),
    "too large": (
        Frame(x=X, y=[2**60 + 1] * 6),
        {},
        "inputs, column 'y': found 115292",
    ),
    "a row": (Row(a=0.5, b=0.25), {}, "inputs: lacks x, y"),
    "unknown": (Frame(a=X, b=Y), {"columns": ["a", "c"]}, "inputs: lacks c"),
    "one text": (
        Frame(a=X, b=Y),
        {"columns": "ab"},
        "columns: found 'ab'; allowed: a list",
    ),
    "none": (Frame(a=X, b=Y), {"columns": 3}, "columns: found 3; allowed: a list of texts"),
    "without names": (
        ROWS,
        {"columns": ["a", "b"]},
        "columns: found .*: for a run on a table",
    ),
}
FILES = {
    "gone": ("gone.csv", {}, "^inputs: found gone.csv; no such file"),
    "an ending": ("new.xyz", {}, "^inputs: found .*new.xyz; allowed: .npy"),
    "pictures": ("empty", {}, "^inputs: .*empty holds pictures"),
    "a gap": ("gap.csv", {}, r'found a gap; gaps="drop" leaves out .*, columns=\[...\] a column'),
    "a comma": ("comma.csv", {}, 'is the comma a decimal sign. decimal="comma" says so'),
    "other names": ("other.csv", {}, r"lacks x, y.*; columns=\[...\] names the columns"),
    "as many": ("new.csv", {"columns": ["x"]}, r"^columns: found 1 \(x\)"),
    "twice": ("new.csv", {"columns": ["x", "x"]}, "^columns: found 'x' twice"),
    "label": ("new.csv", {"label": "z"}, "^label: found 'z'"),
    "gaps": ("new.csv", {"gaps": "x"}, "^gaps: found 'x'; allowed: refuse, drop"),
    "size": ("new.csv", {"size": "3"}, "^size: found '3'; allowed: >= 2"),
    "key": ("new.csv", {"rows": 3}, "^rows: found 3; allowed with a path: background"),
    "array": (ROWS, {"gaps": "drop"}, "^gaps: found 'drop'; allowed with inputs .*: columns"),
}
NORMS = {"l3": "found 'l3'; allowed: l2, linf, l1", 2: "found 2; allowed: l2, linf, l1"}
RADII = [[-1], [0.0], float("nan"), [float("inf")], "0.1", ["0.1"], [[0.1, 0.2]], [True], [None],
         {0.1: 1}]  # fmt: skip
NETWORKS = [None, 3, "", "nothere", b"run", "a\0b", nn.Linear(2, 2), nn.ReLU, "empty", "new.npy"]
FOLDERS = [3, "", b"x", "a\0b", ["d"]]


def cases() -> Iterator[Any]:
    """Entry, arguments, and what the message names."""
    for name, (value, words) in INPUTS.items():
        yield "predict", (network(), value), {}, words, f"predict {name}"
        yield "certify", (network(), value), {"directory": "d"}, words, f"certify {name}"
        yield "certify", ("run", value), {"directory": "d"}, words, f"certify run {name}"
        yield "predict", ("run", value), {}, words, f"predict run {name}"
    for name, (value, more, words) in FRAMES.items():
        yield "predict", ("run", value), more, words, f"predict frame {name}"
        yield "certify", ("run", value), more | {"directory": "d"}, words, f"certify frame {name}"
    for name, (path, more, words) in FILES.items():
        yield "predict", ("run", path), more, words, f"predict file {name}"
    for norm, words in NORMS.items():
        yield "predict", ("run", ROWS), {"norm": norm}, f"norm: {words}", f"norm {norm}"
        yield "certify", ("run",), {"norm": norm}, f"norm: {words}", f"certify norm {norm}"
        yield "from_torch", (network(), (2,), "d"), {"norm": norm}, words, f"from_torch {norm}"
    for eps in RADII:
        yield "certify", ("run",), {"eps": eps}, "^eps.*found .*allowed", f"eps {eps!r}"
        yield "certify", ("issued", ROWS), {"directory": "issued", "eps": eps}, "^eps", f"i {eps!r}"
        yield "from_torch", (network(), (2,), "d"), {"eps": eps}, "^eps", f"from_torch {eps!r}"
    yield "from_torch", (network(), (2,), "d"), {"eps": []}, "^eps: found", "from_torch none"
    for one in NETWORKS:
        said = f"{type(one).__name__}-{one!s:.10}"
        yield "predict", (one, ROWS), {}, "^network|nothere|new.npy", f"predict network {said}"
        yield "certify", (one, ROWS), {"directory": "d"}, "^network|new.npy", f"certify {said}"
        yield "load", (one,), {}, "^source|new.npy", f"load {said}"
        if not isinstance(one, nn.Module):
            yield "from_torch", (one, (2,), "d"), {}, "^module: found", f"from_torch module {said}"
    yield "certify", ("nothere",), {}, "network: found .*nothere, which does not exist", "alone"
    for entry, more in (("certify", ()), ("predict", (ROWS,))):
        words = (
            "run of `lipsort wgan`: .*a critic .*; give the directory of a run of `lipsort train"
        )
        yield entry, ("critic", *more), {}, words, f"{entry} critic"
    for folder in FOLDERS:
        words = "directory: found .*; allowed"
        yield "certify", (network(), ROWS), {"directory": folder}, words, f"into {folder!r}"
        yield "from_torch", (network(), (2,), folder), {}, words, f"from_torch into {folder!r}"
    for shape in (4, "4", (), (2.5,), (0,), (True,), None):
        words = "^input_shape: found .*allowed"
        yield "from_torch", (network(), shape, "d"), {}, words, f"shape {shape!r}"
    yield "from_torch", (network(), (2,), "issued"), {}, "which is not empty", "not empty"
    for labels, words in (([0, 1, 2, 0, 1, 0], "found 2; allowed: 0 to 1"), ([-1] * 6, "found -1"),
                          ([0.0] * 6, "found float64"), ([0], r"found int64 \[1\]"),
                          (["a"] * 6, "found.*one for each"),
                          (np.ma.masked_array([0] * 6, [1] * 6), "masked"),
                          ([[0], [1, 2]], "found")):  # fmt: skip
        for where in (network(1), "issued", "run"):
            yield ("certify", (where, ROWS, labels), {"directory": "issued"}, f"labels: .*{words}",
                   f"labels {labels!s:.20} {where!s:.6}")  # fmt: skip
    yield "certify", ("run", None, LABELS), {}, "labels: found .* without inputs", "labels alone"
    for key, value in (("arithmetic", "bf16"), ("arithmetic", 32), ("replace", "yes")):
        words = f"{key}: found .*allowed"
        yield (
            "certify",
            ("issued", ROWS),
            {"directory": "issued", key: value},
            words,
            f"{key}{value}",
        )
    for units in ("x", None, 1):
        yield "predict", ("run", ROWS), {"units": units}, "units: found .*allowed: raw", f"u{units}"
    for name in ("binary64", "binary32"):
        both = {"units": "deviations", "arithmetic": name}
        yield "predict", ("run", ROWS), both, f"arithmetic: found {name}", f"deviations, {name}"
    yield "predict", (network(), Path("new.npy")), {}, "for a module", "module and path"
    yield "predict", ("run", "gone.csv"), {}, "gone.csv", "no such data"
    yield "predict", ("run", ""), {}, "inputs: found ''", "no data"
    yield "certify", (network(1), ROWS, LABELS), {"directory": "issued"}, "claim: network", "new"
    yield ("certify", (network(), ROWS, LABELS), {"directory": "issued", "norm": "l1"},
           "norm l2 .asked: l1.*directory=FOLDER.*replace=True", "another norm")  # fmt: skip
    yield "certify", (network(), -ROWS, LABELS), {"directory": "issued"}, "inputs .*asked", "points"
    yield "certify", (network(), ROWS), {"directory": "issued"}, "own predictions", "labels"
    yield "certify", ("issued", ROWS), {"directory": "run", "replace": True}, "another run", "run"


CASES = {f"{entry}: {name}": case for entry, *case, name in cases()}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_meant_is_one_message_and_touches_no_file(
    name: str, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    arguments, options, words = CASES[name]
    before = files(made)
    with pytest.raises(LipsortError, match=words) as refused:
        getattr(lipsort, name.partition(":")[0])(*arguments, **options)
    assert "hydra" not in str(refused.value) and "data." not in str(refused.value)
    assert files(made) == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dense(2.5, 3), "in_features: found 2.5; allowed: whole"),
        (lambda: Dense(2, 0), "out_features: found 0"),
        (lambda: GroupSort(0), "group_size: found 0"),
        (lambda: Maxout("2"), "group_size: found '2'"),
        (lambda: AveragePool(1.5), "kernel: found 1.5"),
        (lambda: OrthogonalConvolution(1, 2, True), "kernel: found True"),
        (lambda: Normalize([0.5], [0.0]), r"std: found \[0.0\]; allowed: finite numbers above 0"),
        (lambda: Normalize([0.5], [1e-60]), "std: found"),
        (lambda: Normalize([np.nan], [1.0]), "mean: found"),
        (lambda: Normalize([0.5], [1.0, 2.0]), "std: found 2 numbers; allowed: as many"),
        (lambda: Normalize("0.5", [1.0]), "mean: found '0.5'; allowed: real numbers"),
        (lambda: Scale("2"), "factor: found '2'; allowed: a finite number"),
        (lambda: Scale(np.inf), "factor: found inf"),
        (lambda: Residual([MaxMin()], branch=1), "branch: found 1; allowed: above 0 and below 1"),
        (lambda: Sum([]), r"branches: found \[\]; allowed: at least one"),
        (lambda: Select(torch.full((2,), 0.5), (2,)), "places: found Tensor of"),
        (lambda: Select(torch.tensor([0]), (2,)), r"places: .*shape \[2\]; allowed: .*of 2 whole"),
        (lambda: Distance(2, 3, decay=1), "decay: found 1; allowed: at least 0, less than 1"),
        (lambda: Distance(2, 3, sharpness=(2, 1)), r"sharpness: found \(2, 1\); allowed: two"),
        (lambda: WeightedOrder(2, 3, slope=-1), "slope: found -1; allowed: positive"),
        (lambda: WeightedOrder(2, 3, slack="x"), "slack: found 'x'; allowed: at least 0"),
        (lambda: OrderFilter((1, 5, 5), 3, side=9, stride=2), "side: found .*allowed"),
        (lambda: Versus(2, 1), "classes: found 1; allowed: whole numbers, at least 2"),
        (lambda: Extension([[1.0]]), r"centres: found \[\[1.0\]\]; allowed: a tensor"),
        (lambda: TransposedConvolution(OrthogonalConvolution(1, 2, 3)), "convolution: found one"),
        (lambda: Dense(2, 3, bias="x"), "bias: found 'x'; allowed: True, False"),
        (lambda: Dense(2, 3, constraint="x"), "constraint: found 'x'; allowed: one of lipsort_cli"),
        (lambda: OrthogonalConvolution(1, 2, 3, bias=3), "bias: found 3; allowed: True, False"),
        (lambda: TransposedConvolution(None), "convolution: found None; allowed"),
        (lambda: Residual(MaxMin()), "layers: found MaxMin.*; allowed: a list of modules"),
        (lambda: Residual("ab"), "layers: found 'ab'; allowed: a list of modules"),
        (lambda: Sum([MaxMin()]), "branches: found .*; allowed: lists"),
        (lambda: Sum([["a"]]), r"branches: found \['a'\]; allowed: a list of modules"),
        (lambda: SpaceToDepth(0), "downscale_factor: found 0; allowed: whole"),
        (lambda: DepthToSpace(1.5), "upscale_factor: found 1.5; allowed: whole"),
        (lambda: Dense(2, 3).lipschitz("l3"), "norm: found 'l3'; allowed: l2, linf, l1"),
        (lambda: build_optimizer(None), "network: found None"),
        (lambda: keep_constraints(None, network()), "optimizer: found None"),
        (lambda: keep_constraints(torch.optim.SGD(network().parameters()), network()),
         "optimizer: found one that moves no parameter"),
    ],
)  # fmt: skip
def test_layers_and_optimizers_say_what_they_take(make: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()


@pytest.mark.parametrize("path", [None, 3, "", b"x"])
def test_verify_says_that_a_path_is_none(path: Any, made: Path) -> None:
    found = lipsort.verify(path)
    assert (found.status, found.field) == ("MISUSED", "certificate") and "found" in found.reason
    for key, value in (("data", path), ("network", path), ("patience", "1"), ("patience", True),
                       ("exact", "yes")):  # fmt: skip
        if path is not None:
            found = lipsort.verify(made / "issued", **{key: value})
            assert (found.status, found.field) == ("MISUSED", f"--{key}")


def test_what_is_exact_is_taken_by_both_entries(made: Path, tmp_path: Path) -> None:
    half = torch.from_numpy(ROWS).bfloat16()
    plain = half.float().numpy()
    wanted = lipsort.predict(network(), plain)
    same: list[Any] = [half, plain.astype(">f4"), plain.astype(np.longdouble), plain.tolist()]
    same.append(np.ma.masked_array(plain, plain > 99))
    same.append(torch.complex(half.float(), -half.float()).conj().imag)  # negated when it is read
    for place, values in enumerate(same):
        assert lipsort.predict(network(), values).radii == pytest.approx(wanted.radii, rel=1e-12)
        lipsort.certify(network(), values, directory=tmp_path / str(place))
    truths = ROWS > 0
    for place, values in enumerate([truths, truths.astype(np.float16), torch.from_numpy(truths)]):
        lipsort.certify(network(), values, directory=tmp_path / "truths", eps=0.1)
        assert len(lipsort.predict(made / "run", values).radii) == 6, place


def test_columns_are_matched_by_name_and_it_is_said(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made / "run"
    wanted = lipsort.predict(run, ROWS).radii
    for frame, more, words in (
        (Frame(x=X, y=Y), {}, ""),
        (Frame(y=Y, x=X.astype(np.float64)), {}, "columns put in the order of training: x, y"),
        (Frame(x=X, y=Y, answer=["yes"] * 6), {}, "left out.*: answer"),
        (Frame(a=Y, b=X), {"columns": ("b", "a")}, "in the order of training: b, a"),
    ):
        assert lipsort.predict(run, frame, **more).radii == pytest.approx(wanted, rel=1e-12)
        assert re.search(words, capsys.readouterr().err)
    row = lipsort.predict(run, Row(y=float(Y[0]), x=float(X[0])))
    assert row.radii == pytest.approx(wanted[:1], rel=1e-12)
    assert len(lipsort.predict(run, made / "gap.csv", gaps="drop").radii) == 1
    lipsort.predict(made / "issued", Frame(a=X, b=Y))
    assert "columns are taken by position" in capsys.readouterr().err


def test_whole_numbers_are_floats_where_they_are_written_as_numbers(made: Path) -> None:
    wanted = lipsort.predict(made / "run", [[1.0, 2.0], [-3.0, 0.0]]).radii
    for values in ([[1, 2], [-3, 0]], ((1, 2.0), (-3, 0)), Frame(x=[1, -3], y=[2, 0])):
        assert lipsort.predict(made / "run", values).radii.tolist() == wanted.tolist()


@pytest.mark.parametrize("eps", [0.1, [0.1], np.array(0.1), np.array([0.1]), (0.1, 0.1), {0.1}])
def test_radii_are_taken_as_they_are_meant(eps: Any, tmp_path: Path) -> None:
    lipsort.certify(network(), ROWS, directory=tmp_path, eps=eps)
    entries = json.loads((tmp_path / "certificate.json").read_text())["summary"]["certified_at"]
    assert [entry["eps"] for entry in entries] == [(0.1).hex()]


def test_a_run_lends_its_norm_and_radii(made: Path, tmp_path: Path) -> None:
    lipsort.certify(made / "run", ROWS, directory=tmp_path)
    claim = json.loads((tmp_path / "certificate.json").read_text())
    assert claim["claim"]["norm"] == "linf"
    assert [entry["eps"] for entry in claim["summary"]["certified_at"]] == [(0.02).hex()]


def test_another_claim_is_issued_where_it_is_asked_for(tmp_path: Path) -> None:
    lipsort.certify(network(), ROWS, LABELS, directory=tmp_path)
    first = files(tmp_path)
    lipsort.certify(network(), ROWS, LABELS, directory=tmp_path)
    assert files(tmp_path) == first
    lipsort.certify(network(1), ROWS, directory=tmp_path, norm="l1", replace=True)
    assert files(tmp_path) != first and lipsort.verify(tmp_path).status == "VALID"


def test_weights_that_were_changed_after_the_run_are_refused(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for path in (made / "run").iterdir():
        if path.name != "model.safetensors":
            (run / path.name).symlink_to(path)
    (run / "model.safetensors").write_bytes((made / "issued" / "model.safetensors").read_bytes())
    for use in (lipsort.load, lipsort.certify, lambda run: lipsort.predict(run, ROWS)):
        with pytest.raises(LipsortError, match="changed or damaged after the run"):
            use(run)


def test_a_network_that_is_not_its_certificates_is_refused(tmp_path: Path) -> None:
    folder, other = tmp_path / "issued", tmp_path / "other"
    for place, module in ((folder, network()), (other, network(1))):
        lipsort.certify(module, ROWS, directory=place)
    for name in ("model.safetensors", "certificate.json"):
        changed = tmp_path / name
        shutil.copytree(folder, changed)
        shutil.copy(other / name, changed)
        before = files(changed)
        for use in (
            lipsort.load,
            lambda folder: lipsort.certify(folder, ROWS, directory=folder),
            lambda folder: lipsort.predict(folder, ROWS),
        ):
            with pytest.raises(LipsortError, match="found SHA-256 .*certificate.json beside it"):
                use(changed)
        assert files(changed) == before
        lipsort.predict(changed / "model.safetensors", ROWS)


def test_an_export_with_another_networks_certificate_is_refused(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    shutil.copy(made / "issued" / "certificate.json", run)
    with pytest.raises(LipsortError, match="found SHA-256 .*certificate.json beside it"):
        command(["export", str(run), "formats=[safetensors]"])
    assert not (run / "export").exists()


@pytest.mark.parametrize("name", ["model", "certificate-data", "points", "certificate."])
def test_a_full_disk_leaves_no_part_of_a_certificate(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    lipsort.certify(network(), ROWS, directory=there)
    before, make = files(tmp_path), tempfile.mkstemp

    def full(*args: Any, prefix: str = "", **more: Any) -> Any:
        if prefix.startswith(f".{name}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return make(*args, prefix=prefix, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", full)
        for folder in (there, tmp_path / "new" / "folder"):
            with pytest.raises(LipsortError, match="No space left.*directory=FOLDER"):
                lipsort.certify(network(1), -ROWS, directory=folder, replace=True)
    assert files(tmp_path) == before
    lipsort.certify(network(2), ROWS, directory=tmp_path / "new" / "folder")


def test_a_plugin_that_is_not_here_is_named(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    settings = run / ".hydra" / "config.yaml"
    settings.write_text(settings.read_text().replace("plugins: []", "plugins: [herb]"))
    with pytest.raises(UsageError, match="plugins: found herb.*started in") as refused:
        lipsort.predict(run, ROWS)
    assert "damaged" not in str(refused.value)


class _Rare(nn.ReLU):
    """Another layer at inputs that no random ones are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x.abs() > 1e3, -x, super().forward(x))


class _Chain(nn.Sequential):
    """Says its own name, and nothing else."""

    def __init__(self) -> None:
        super().__init__(*network())

    def helper(self) -> int:
        return 1


class _Odd(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def altered(kind: str) -> nn.Module:
    module = network()
    if kind == "class":
        module[1] = _Rare()
    if kind == "forward":
        module[1].forward = lambda x: x.sort().values  # type: ignore[method-assign]
    if kind == "hook":
        module[1].register_forward_hook(lambda *_: None)
    if kind in ("residual", "branch"):
        chain: list[nn.Module] = [nn.Identity()]
        box = Residual(chain) if kind == "residual" else Concatenate([chain])
        module.insert(1, box)
        inside = box.layers if kind == "residual" else box.branches[0]
        inside.register_forward_hook(lambda *_: None)
    if kind == "pre-hook":
        module.register_forward_pre_hook(lambda *_: None)
    if kind == "parametrization":
        parametrize.register_parametrization(module[0], "parameter", _Odd())
    return module


@pytest.mark.parametrize(
    ("kind", "words"),
    [("class", "layer _Rare: found with its own forward"), ("forward", "its own forward"),
     ("hook", "forward hooks"), ("residual", "Sequential: found with forward hooks"),
     ("branch", "Sequential: found with forward hooks"), ("pre-hook", "forward pre-hooks"),
     ("parametrization", "the parametrization _Odd")],
)  # fmt: skip
def test_layers_with_something_of_their_own_are_named(kind: str, words: str) -> None:
    """Though at random inputs they compute the same; and what to do is said, without a run too."""
    with pytest.raises(UsageError, match=f"network: .*{words}.*allowed: one of lipsort's") as said:
        lipsort.predict(altered(kind), ROWS)
    assert "from_torch" in str(said.value)
    with pytest.raises(NoPlainForm, match="allowed: one of lipsort's as it is") as reason:
        network_graph(Network([altered(kind)], (2,), 2).eval())
    assert ("plain_layers()" in str(reason.value)) == (kind == "class")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_no_certificate_is_about_are_a_usage_error(
    value: float, tmp_path: Path
) -> None:
    weighted, scaled = network(), nn.Sequential(Normalize([0.0] * 2, [1.0] * 2), Dense(2, 2))
    with torch.no_grad():
        weighted[2].bias[0] = scaled[0].std[0] = value
    for module, words in ((weighted, r"layers\[2\].bias: "), (scaled, r"layers\[0\].std")):
        with pytest.raises(UsageError, match=f"network: {words}"):
            lipsort.certify(module, ROWS, directory=tmp_path)


def test_a_subclass_that_computes_the_same_is_taken_and_left_in_its_mode() -> None:
    module = _Chain()
    module.eval()
    module[1].train()
    lipsort.predict(module, ROWS)
    assert module[1].training and not module[0].training and not module.training


def test_no_file_stays_open(made: Path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ResourceWarning)
        for name in ("new.npy", "new.npz", "new.csv"):
            lipsort.predict(made / "run", made / name)
        gc.collect()
    assert not said
