"""Classifiers on tables: labels by name, splits as said, radii in raw units and in deviations."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from lipsort_cli.certificates.points import load_network
from lipsort_cli.certificates.predictions import deviation_radii
from lipsort_cli.config.activations import MaxminActivation
from lipsort_cli.config.constraints import OrthonormalConstraint
from lipsort_cli.config.data import NpzData, TableData
from lipsort_cli.config.models import MlpModel
from lipsort_cli.data import Dataset, load
from lipsort_cli.data.classes import warn_of_test
from lipsort_cli.data.tabular import warn_of_scales
from lipsort_cli.errors import UsageError
from lipsort_cli.zoo import build_network, save_network

RNG = np.random.default_rng(0)


def rows(count: int = 40) -> dict[str, list[Any]]:
    kind = [("cat", "dog", "a bird, small")[i % 3] for i in range(count)]
    shift = [("cat", "dog", "a bird, small").index(name) for name in kind]
    return {
        "height": [round(20 + 5 * s + float(RNG.normal()), 3) for s in shift],
        "weight": [round(4000 + 900 * s + 100 * float(RNG.normal()), 1) for s in shift],
        "kind": kind,
    }


def written(path: Path, table: dict[str, list[Any]], sep: str = ",") -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.table(table), path)
        return path
    lines = [sep.join(table)]
    for values in zip(*table.values(), strict=True):
        cells = ["" if v is None else f'"{v}"' if isinstance(v, str) else str(v) for v in values]
        lines.append(sep.join(cells))
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Path, **options: Any) -> Dataset:
    given = {"label": "kind", "test": 0.25, **options}
    return load(TableData(path=str(path), **given))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.parquet", "a.npz", "text.parquet"])
def test_truth_values_are_0_and_1_in_every_reader(tmp_path: Path, name: str) -> None:
    table = rows()
    table["tall"] = [value > 25 for value in table["height"]]
    table["kind"] = [kind == "cat" for kind in table["kind"]]
    expected = np.array(table["tall"], np.float32)
    if name == "a.npz":
        x, y = np.array(table["tall"])[:, None], np.array(table["kind"])
        np.savez(tmp_path / name, x_train=x, y_train=y, x_test=x, y_test=y)
        data = load(NpzData(path=str(tmp_path / name), validation=0))
        assert data.train.labels.tolist() == y.tolist()
        assert data.train.inputs[:, 0].tolist() == expected.tolist()
        return
    if name == "text.parquet":
        table["tall"] = [str(value).upper() for value in table["tall"]]
    data = read(written(tmp_path / name, table, "," if name == "a.csv" else "\t"), validation=0)
    assert data.names == ("False", "True")
    found = torch.cat([data.train.inputs, data.test.inputs])[:, 2]
    assert sorted(found.tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_labels_keep_their_names(tmp_path: Path, name: str) -> None:
    table = rows()
    data = read(written(tmp_path / name, table, "\t" if name == "a.tsv" else ","))
    assert data.names == ("a bird, small", "cat", "dog") and data.features == ("height", "weight")
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 10)
    assert data.fingerprint["classes"] == list(data.names)
    assert data.class_name(2) == "dog"
    for split in (data.train, data.validation, data.test):
        for point, label in zip(split.inputs, split.labels, strict=True):
            row = table["height"].index(pytest.approx(float(point[0]), abs=1e-5))
            assert table["kind"][row] == data.names[label]
    # What shapes the network comes from training rows alone.
    assert data.scale is not None
    inputs = data.train.inputs.double()
    assert data.scale[0] == pytest.approx(inputs.mean(0).tolist())
    assert data.scale[1] == pytest.approx(inputs.std(0, correction=0).tolist())
    assert read(tmp_path / name, standardise=False).scale is None


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([3, 10, 2], ("2", "3", "10")),
        ([0.0, 1.0, 0.0], ("0", "1")),
        (["10.0", "2.0", "-1e0"], ("-1e0", "2.0", "10.0")),
        (["²", "³", "--1"], ("--1", "²", "³")),
        (["9" * 5000, "1" + "0" * 5000, "2"], ("2", "9" * 5000, "1" + "0" * 5000)),
        ([True, False, True], ("False", "True")),
        ([b"cat", b"d\xc3\xb6g", b"cat"], ("cat", "dög")),
        ([Decimal("1.00"), Decimal("0.00"), Decimal("1.00")], ("0", "1")),
        (["b", "a", "None"], ("None", "a", "b")),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_labels_of_every_kind(
    tmp_path: Path, name: str, labels: list[Any], names: tuple[str, ...]
) -> None:
    table = {"x": [float(i) for i in range(30)], "y": [labels[i % 3] for i in range(30)]}
    if name == "a.csv" and isinstance(labels[0], bytes | Decimal):
        return  # these are of Parquet
    data = read(written(tmp_path / name, table), label="y")
    if labels[0] == 0.0 and name == "a.csv":
        names = ("0.0", "1.0")  # text is kept as it is written
    if labels[0] is not True:
        assert data.names == names


def test_a_column_says_the_split(tmp_path: Path) -> None:
    table = rows(30)
    table["part"] = [("train", "Train_set", "training", "val", "test")[i % 5] for i in range(30)]
    data = read(written(tmp_path / "a.csv", table), split="part")
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 6, 6)
    assert data.features == ("height", "weight")
    table["part"] = ["train" if i % 5 else "test" for i in range(30)]
    data = read(written(tmp_path / "a.csv", table), split="part", validation=0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 6, 6)
    table["part"][3] = "holdout"
    with pytest.raises(UsageError, match="column 'part' holds 'holdout'; allowed: train"):
        read(written(tmp_path / "a.csv", table), split="part")
    table["part"] = ["train"] * 30
    with pytest.raises(UsageError, match="names no test row"):
        read(written(tmp_path / "a.csv", table), split="part")


def test_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.csv", "a.parquet"):
        table = rows()
        table["height"][4] = None  # type: ignore[call-overload]
        path = written(tmp_path / name, table)
        with pytest.raises(UsageError, match=r"column 'height': found a gap; data\.gaps=drop"):
            read(path)
        data = read(path, gaps="drop")
        assert len(data.train) + len(data.validation) + len(data.test) == 39
        assert "1 of 40 rows have gaps" in capsys.readouterr().out
        assert read(path, columns=["weight"]).input_shape == (1,)
        table = rows()
        table["kind"][7] = None  # type: ignore[call-overload]
        path = written(tmp_path / name, table)
        with pytest.raises(UsageError, match=r"(line 9|row 8), column 'kind': found no label"):
            read(path)
        data = read(path, gaps="drop")
        assert len(data.train) + len(data.validation) + len(data.test) == 39


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({}, {"label": "species"}, r"data\.label: found 'species'; .* height, weight, kind"),
        ({}, {"split": "part"}, r"data\.split: found 'part'"),
        ({}, {"columns": ["height", "kind"]}, "which is the label or the split"),
        ({}, {"columns": ["height", "height"]}, r"data\.columns: found 'height' twice"),
        ({}, {"columns": []}, "has no columns but kind"),
        ({}, {"columns": ["depth"]}, r"data\.columns: found 'depth'"),
        ({"name": ["x"] * 40}, {}, "column 'name': found 'x'; allowed: numbers only"),
        ({"kind": ["cat"] * 40}, {}, "holds cat; a classifier needs at least 2"),
        ({"kind": [0.1 * i for i in range(40)]}, {}, "a quantity or an identifier, no class"),
        ({"kind": ["rare"] + ["cat", "dog"] * 19 + ["dog"]}, {"test": 0.9}, "no training example"),
        ({"t": [1.7e9 + 0.001 * i for i in range(40)]}, {}, "float32 would lose its differences"),
        ({"t": [2**60 + i for i in range(40)]}, {}, "integers that binary64 would round"),
        ({"t": [1e39] * 40}, {}, "within float32's range"),
        ({"t": [6e23 * (1 + i % 7) for i in range(40)]}, {}, "'t' has the mean .*in another unit"),
        (
            {"t": [1.6e-19 * (i % 7) for i in range(40)]},
            {},
            r"deviation 3.*data\.standardise=false",
        ),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_what_is_refused(
    tmp_path: Path, name: str, change: dict[str, list[Any]], options: dict[str, Any], words: str
) -> None:
    path = written(tmp_path / name, {**rows(), **change})
    with pytest.raises(UsageError, match=words):
        read(path, **options)


def test_a_label_that_may_be_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows()
    table["kind"][5:9] = ["NA"] * 4
    assert "NA" in read(written(tmp_path / "a.csv", table)).names
    assert "4 rows have the label 'NA', which is taken" in capsys.readouterr().err


def test_labels_alike_that_are_different_classes_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {"x": [float(i) for i in range(40)], "kind": ["1", "1.0", "01", "1e1"] * 10}
    assert read(written(tmp_path / "a.csv", table)).names == ("01", "1", "1.0", "1e1")
    said = " ".join(capsys.readouterr().err.split())
    assert "the labels '01', '1', '1.0' are equal numbers" in said and "1e1" not in said
    table = {"x": [f"{i},5" for i in range(40)], "kind": ["1", "1,0", "a,b", "a.b"] * 10}
    assert len(read(written(tmp_path / "b.parquet", table), decimal="comma").names) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "the labels '1', '1,0' are equal numbers" in said and "a.b" not in said
    table["kind"] = ["1", "2", "10", "x"] * 10
    read(written(tmp_path / "a.csv", table))
    assert "labels" not in capsys.readouterr().err
    table["kind"] = ["Yes", "yes", "no", "n o"] * 10
    assert read(written(tmp_path / "a.csv", table)).names == ("Yes", "n o", "no", "yes")
    said = " ".join(capsys.readouterr().err.split())
    assert "the labels 'Yes', 'yes' are the same but for case, blanks, signs" in said
    assert "the labels 'n o', 'no' are the same" in said
    table["kind"] = ["grün", "gru\u0308n", "rot", "blau"] * 10
    assert len(read(written(tmp_path / "a.csv", table)).names) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "are the same but for case, blanks, signs that are not shown or the encoding" in said
    for kinds in (["cat", "cat\u200b", "rot"], ["1", "\ufeff1", "2"], ["c\xadat", "cat", "2"]):
        table["kind"] = [kinds[i % 3] for i in range(40)]
        read(written(tmp_path / "a.csv", table))
        said = " ".join(capsys.readouterr().err.split())
        assert all(repr(kind) in said for kind in kinds[:2]), said


def test_names_with_signs_that_are_not_shown_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,kind\u200b\n1.5,a\n2.5,b\n")
    with pytest.raises(UsageError, match=r"has the columns x, 'kind\\u200b'"):
        read(path)


def test_what_the_test_split_hides_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows()
    warn_of_test(read(written(tmp_path / "a.csv", table)))
    assert not capsys.readouterr().err
    twice = {name: values * 2 for name, values in table.items()}
    data = read(written(tmp_path / "b.csv", twice))
    trained = {tuple(row) for row in data.train.inputs.tolist()}
    shared = sum(tuple(row) in trained for row in data.test.inputs.tolist())
    warn_of_test(data)
    said = " ".join(capsys.readouterr().err.split())
    assert shared and f"that are training examples too: {shared} of 20; figures" in said
    table["part"] = ["test" if kind == "cat" else "train" for kind in table["kind"]]
    table["part"][0] = "train"
    warn_of_test(read(written(tmp_path / "c.csv", table), split="part"))
    said = " ".join(capsys.readouterr().err.split())
    assert "the test split has no example of a bird, small, dog" in said
    assert "100.0% of the test split is cat" in said


@pytest.mark.parametrize(("rest", "said"), [(1, True), (7, True), (9, False), (20, False)])
def test_a_class_that_most_of_the_test_split_is_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rest: int, said: bool
) -> None:
    kinds = ["a"] * 12 + ["b"] * rest
    table = {"x": range(len(kinds) + 2), "kind": [*kinds, "a", "b"]}
    table["part"] = ["test"] * len(kinds) + ["train"] * 2
    warn_of_test(read(written(tmp_path / "a.csv", table), split="part"))
    found = " ".join(capsys.readouterr().err.split())
    share = 12 / (12 + rest)
    assert (f"{share:.1%} of the test split is a: an answer that never looks" in found) == said


def test_labels_in_quotation_marks_are_kept(tmp_path: Path) -> None:
    labels = ["u", "v"] * 150 + ['"u"'] * 30 + ['"l1\nl2"', '"l1\n\nl2"', '"l1\n# l2"'] * 30
    labels += ['"""x0"', '"w ""x"""'] * 30
    lines = [f"{i % 7}.{i}, {label}" for i, label in enumerate(labels)]
    (tmp_path / "a.csv").write_text("x, kind\n" + "\n".join(lines) + "\n")
    data = read(tmp_path / "a.csv")
    assert data.names == ('"x0', "l1\n\nl2", "l1\n# l2", "l1\nl2", "u", "v", 'w "x"')
    assert len(data.train) + len(data.validation) + len(data.test) == len(labels)


def test_the_label_is_no_column_to_choose(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", {"id": list(range(40)), **rows()})
    with pytest.raises(UsageError, match=r"columns=\[height,weight\] leaves it out"):
        read(path)
    assert read(path, columns=["height", "weight"]).input_shape == (2,)


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path / "a.xlsx", tmp_path):
        lacking = "" if path.exists() else "no such file; "
        with pytest.raises(UsageError, match=rf"data\.path: found \S+; {lacking}needed is a file"):
            read(path)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(UsageError, match="empty table"):
        read(tmp_path / "empty.csv")
    (tmp_path / "junk.parquet").write_text("junk")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "junk.parquet")
    rows_of = "".join(f"{i}.5,a{i % 2}\n" for i in range(5000)).encode()
    (tmp_path / "late.csv").write_bytes(b"height,kind\n" + rows_of + b"1.5,gr\xf6\xdfe\n")
    with pytest.raises(UsageError, match="cannot be read as .csv: 'utf-8' codec"):
        read(tmp_path / "late.csv")
    path = written(tmp_path / "cut.parquet", rows(4000))
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(400) + content[600:])
    with pytest.raises(UsageError, match="cannot be read as .parquet|found"):
        read(path)
    (tmp_path / "empty.csv").write_text("height,kind\n")
    with pytest.raises(UsageError, match="holds no rows"):
        read(tmp_path / "empty.csv")


def test_scales_far_apart_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = {**rows(), "area": [1e6 * i for i in range(40)]}
    path = written(tmp_path / "a.csv", table)
    warn_of_scales(read(path))
    said = capsys.readouterr().err
    assert "'height'" in said and "'area'" in said and "in standard deviations" in said
    warn_of_scales(read(path, standardise=False))
    assert "data.standardise=true" in capsys.readouterr().err
    warn_of_scales(read(path, columns=["weight"]))
    assert capsys.readouterr().err == ""
    constant = {**rows(), "one": [1.0] * 40}
    data = read(written(tmp_path / "b.csv", constant))
    assert data.scale is not None and data.scale[1][2] == 1.0
    assert "constant in the training rows, and not scaled: one" in capsys.readouterr().out


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
def test_radii_in_deviations_hold(tmp_path: Path, norm: str) -> None:
    torch.manual_seed(0)
    data = read(written(tmp_path / "a.csv", rows(400)))
    assert data.scale is not None
    network = build_network(
        MlpModel(widths=[16]), MaxminActivation(), OrthonormalConstraint(), (2,), 3
    ).behind(*data.scale)
    save_network(network, tmp_path / "model.safetensors")
    plain = load_network(tmp_path / "model.safetensors")
    predicted = network(data.test.inputs).argmax(1)
    eps = [0.01, 0.05, 0.2]
    radii = deviation_radii(plain, data.test.inputs.numpy(), predicted.numpy(), norm=norm)
    shares = {f"{value}": float((radii >= value).mean()) for value in eps}
    assert shares["0.01"] > 0.5 and list(shares.values()) == sorted(shares.values(), reverse=True)
    # No fewer points keep their class when moved so far, in any direction tried.
    std = torch.tensor(data.scale[1], dtype=torch.float32)
    order = {"l2": 2.0, "linf": float("inf"), "l1": 1.0}[norm]
    for value in eps:
        kept = torch.ones(len(predicted), dtype=torch.bool)
        for angle in np.linspace(0, 2 * np.pi, 24):
            way = torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32)
            step = way / way.norm(order) * value * std
            kept &= network(data.test.inputs + step).argmax(1) == predicted
        assert shares[f"{value}"] <= float(kept.float().mean())
