"""predict: new data as the run takes them, or refused; radii are the certificate's."""

from __future__ import annotations

import csv
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from lipsort_cli.app import run as lipsort
from lipsort_cli.certificates import predictions
from lipsort_cli.certificates.points import certify_points, load_network
from lipsort_cli.certificates.predictions import predict_points
from lipsort_cli.config.certificates import UnseenData, settled
from lipsort_cli.data import unseen
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.trained import open_predictor, open_run
from lipsort_cli.verifier.graph import build_network

SMALL = ["model.widths=[8]", "training.epochs=2", "evaluation.attack.points=0"]
RNG = np.random.default_rng(0)
LEVELS = RNG.integers(0, 256, (80, 1, 6, 6)).astype(np.uint8)
LABELS = (LEVELS.reshape(80, -1).mean(1) > 127).astype(int)


def table(path: Path, columns: dict[str, Any], sign: str = ",") -> Path:
    lines = [
        sign.join(columns),
        *(sign.join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def trees(count: int = 60) -> dict[str, Any]:
    height, girth = RNG.normal(size=count), 100 + 10 * RNG.normal(size=count)
    kinds = np.where(height > 0, "oak", "elm")
    return {"height": height.round(3), "girth": girth.round(2), "kind": kinds}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on a table with names, pixels of uint8, float pixels, and floats of any size."""
    folder = tmp_path_factory.mktemp("predict")
    of = {
        "table": [
            "data=table",
            f"data.path={table(folder / 'trees.csv', trees())}",
            "data.label=kind",
        ]
    }
    arrays = {
        "pixels": LEVELS,
        "unit": LEVELS.astype(np.float32) / np.float32(255),
        "numbers": RNG.normal(size=(80, 5)) * 9,
    }
    for name, x in arrays.items():
        path = folder / f"{name}.npz"
        np.savez(path, x_train=x[:60], y_train=LABELS[:60], x_test=x[60:], y_test=LABELS[60:])
        of[name] = ["data=npz", f"data.path={path}"]
    for name, options in of.items():
        lipsort(["train", *options, *SMALL, f"hydra.run.dir={folder / name}"])
    return folder


def predicted(run: Path, data: Path | str, *options: str, out: Path) -> list[dict[str, str]]:
    assert lipsort(["predict", str(run), str(data), *options, f"hydra.run.dir={out}"]) == 0
    with (out / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
def test_radii_are_those_of_the_certificate(norm: str, runs: Path, tmp_path: Path) -> None:
    trained = open_run(runs / "pixels")
    network = load_network(trained.network)
    rows = predicted(runs / "pixels", f"{runs / 'pixels.npz'}:x_test", f"norm={norm}", out=tmp_path)
    points = certify_points(network, trained.inputs, None, norm=norm, arithmetic="binary32")
    assert [row["class"] for row in rows] == [str(c) for c in points.predictions]
    assert [float(row["certified_radius"]) for row in rows] == pytest.approx(
        points.radii, rel=1e-12
    )
    # With the prediction as its label, a point has the radius that a certificate gives it.
    labelled = certify_points(
        network, trained.inputs, points.predictions, norm=norm, arithmetic="binary32"
    )
    assert labelled.radii == pytest.approx(points.radii, rel=1e-12) and (points.radii > 0).any()
    ordered = np.sort(points.logits, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    assert [float(row["margin"]) for row in rows] == pytest.approx(margins, rel=1e-9)
    assert [row["label"] for row in rows] == [str(label) for label in trained.labels]
    summary = json.loads((tmp_path / "predictions.json").read_text())
    right = (points.predictions == trained.labels).mean()
    assert summary["accuracy"] == right and summary["evidence"]["accuracy"] == "empirical"
    assert [row["correct"] for row in rows].count("true") == right * len(rows)


def test_radii_are_about_the_numbers_as_written(runs: Path) -> None:
    predictor = open_predictor(runs / "table")
    values = np.array([[0.1, 101.3], [-0.7, 96.11]])
    inputs = values.astype(np.float32)
    about = predict_points(
        predictor.network, inputs, norm="l2", arithmetic="binary32", values=values
    )
    rounded = predict_points(predictor.network, inputs, norm="l2", arithmetic="binary32")
    for row, value in enumerate(values):
        squares = sum(
            (Fraction(a) - Fraction(float(b))) ** 2 for a, b in zip(value, inputs[row], strict=True)
        )
        gap = Fraction(rounded.radii[row]) - Fraction(about.radii[row])
        assert gap > 0 and gap**2 >= squares and gap**2 < squares * Fraction(11, 10)


def test_radii_of_a_table_allow_for_decimals_that_binary64_rounds(
    runs: Path, tmp_path: Path
) -> None:
    """What is written is just above 1 + 2^-53, its binary64 is 1 + 2^-52."""
    predictor = open_predictor(runs / "table")
    written = "1.000000000000000111022302462516"
    path = table(tmp_path / "long.csv", {"height": [written], "girth": ["96.5"]})
    read = unseen.open_unseen(str(path), predictor.taken, settled(UnseenData(), predictor.data))
    (batch,) = read.batches()
    assert batch.off is not None
    apart = abs(Fraction(float(batch.values[0, 0])) - Fraction(written))
    assert 0 < apart <= Fraction(float(batch.off[0, 0]))
    exact: Any = {"norm": "linf", "arithmetic": "real", "values": batch.values}
    ((_, found),) = predictions.predicted(predictor, read, norm="linf", arithmetic="real")
    about = predict_points(predictor.network, batch.inputs, **exact)
    gap = Fraction(float(about.radii[0])) - Fraction(float(found.radii[0]))
    assert found.radii[0] > 0 and gap >= Fraction(float(batch.off.max())) / 2


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="no longer than binary64")
def test_radii_are_about_long_doubles_as_they_are() -> None:
    """Two classes half of the difference apart, which binary64 would round by far more."""
    graph = {"format": "lipsort-graph", "version": 1, "input_shape": [2], "classes": 2}
    network = build_network(graph | {"layers": [{"op": "identity"}]}, {})
    far, near = np.longdouble(2) ** 40, np.longdouble(2) ** -14
    values = np.array([[far + near, far + 2**17]])
    found = predict_points(
        network, values.astype(np.float32), norm="linf", arithmetic="real", values=values
    )
    assert 0 < Fraction(found.radii[0]) < (2**17 - Fraction(1, 2**14)) / 2


def test_columns_are_matched_by_name(runs: Path, tmp_path: Path, capsys: Any) -> None:
    new = trees(20)
    plain = predicted(runs / "table", table(tmp_path / "a.csv", new), out=tmp_path / "a")
    other = {"note": ["x"] * 20, "girth": new["girth"], "height": new["height"]}
    capsys.readouterr()
    turned = predicted(runs / "table", table(tmp_path / "b.csv", other, ";"), out=tmp_path / "b")
    words = capsys.readouterr().out
    assert (
        "in the order of training: height, girth" in words and "not trained on them: note" in words
    )
    assert "next: lipsort certify" in words.splitlines()[-1]
    assert list(turned[0]) == ["index", "class", "runner_up", "margin", "certified_radius"]
    assert list(plain[0])[5:] == ["label", "correct"] and {r["label"] for r in plain} == {
        "oak",
        "elm",
    }
    assert [r["certified_radius"] for r in plain] == [r["certified_radius"] for r in turned]
    renamed = {"a": new["height"], "b": new["girth"]}
    chosen = predicted(
        runs / "table", table(tmp_path / "c.csv", renamed), "data.columns=[a,b]", out=tmp_path / "c"
    )
    assert [r["class"] for r in chosen] == [r["class"] for r in plain]
    # Standard deviations, and Parquet.
    out = tmp_path / "d"
    lipsort(["predict", str(runs / "table"), str(tmp_path / "a.csv"), "units=deviations",
             "format=parquet", f"hydra.run.dir={out}"])  # fmt: skip
    columns = parquet.read_table(out / "predictions.parquet").to_pydict()
    assert columns["class"] == [r["class"] for r in plain]
    assert columns["certified_radius"] != [float(r["certified_radius"]) for r in plain]
    assert json.loads((out / "predictions.json").read_text())["arithmetic"] == "real"


def test_rows_with_gaps_keep_their_numbers(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("height,girth\n1,100\n,101\n2,102\n")
    with pytest.raises(UsageError, match=r"line 3, column 'height': found a gap; data.gaps=drop"):
        predicted(runs / "table", path, out=tmp_path)
    rows = predicted(runs / "table", path, "data.gaps=drop", out=tmp_path)
    assert [row["index"] for row in rows] == ["0", "2"]


def test_rows_without_a_label_are_not_counted(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("height,girth,kind\n1,100,oak\n-1,99,\n2,101,elm\n")
    rows = predicted(runs / "table", path, out=tmp_path)
    assert [row["label"] for row in rows] == ["oak", "", "elm"] and rows[1]["correct"] == ""
    summary = json.loads((tmp_path / "predictions.json").read_text())
    right = sum(row["class"] == row["label"] for row in rows)
    assert summary["labelled"] == 2 and summary["accuracy"] == right / 2
    path.write_text("height,girth,kind\n1,100,\n")
    predicted(runs / "table", path, "format=csv", out=tmp_path)
    assert "accuracy" not in json.loads((tmp_path / "predictions.json").read_text())
    lipsort(
        ["predict", str(runs / "table"), str(path), "format=parquet", f"hydra.run.dir={tmp_path}"]
    )
    assert parquet.read_table(tmp_path / "predictions.parquet").to_pydict()["label"] == [None]


def pictures(folder: Path, mode: str = "L", size: int = 6) -> Path:
    folder.mkdir(parents=True)
    for i in range(3):
        Image.fromarray(LEVELS[i, 0]).convert(mode).resize((size, size)).save(folder / f"{i}.png")
    return folder


def test_pictures_and_arrays_mean_the_same(runs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", LEVELS[:3, 0])
    np.save(tmp_path / "float.npy", LEVELS[:3] / 255)
    np.save(tmp_path / "one.npy", LEVELS[0])
    ways = [tmp_path / "flat.npy", tmp_path / "float.npy", pictures(tmp_path / "flat")]
    found = [predicted(runs / "pixels", way, out=tmp_path / "o") for way in ways]
    classes = [[row["class"] for row in rows] for rows in found]
    assert classes[0] == classes[1] == classes[2]
    assert [row["certified_radius"] for row in found[0]] == [
        r["certified_radius"] for r in found[2]
    ]
    assert [row["file"] for row in found[2]] == ["0.png", "1.png", "2.png"]
    for one in (tmp_path / "one.npy", tmp_path / "flat" / "0.png"):
        assert predicted(runs / "pixels", one, out=tmp_path / "o")[0]["class"] == classes[0][0]
    assert predicted(runs / "unit", tmp_path / "flat", out=tmp_path / "o")
    # Subfolders with the names of classes are labels, others are not.
    by = tmp_path / "by"
    for label in ("0", "1"):
        (by / label).mkdir(parents=True)
        (tmp_path / "flat" / f"{label}.png").rename(by / label / "a.png")
    rows = predicted(runs / "pixels", by, out=tmp_path / "o")
    assert [row["label"] for row in rows] == ["0", "1"]


REFUSED: dict[str, tuple[str, Any, str]] = {
    "unscaled": ("pixels", LEVELS.astype(np.float32), "to 255; the run was trained on pixels"),
    "below": ("pixels", -(LEVELS / 255), "pixels from 0 to 1"),
    "unscaled numbers": ("unit", LEVELS.astype(np.float64), "trained on numbers from 0 to 1"),
    "levels of floats": ("unit", LEVELS, "found uint8; the run was trained on floats"),
    "integers": ("numbers", np.zeros((4, 5), np.int64), "found int64; allowed are floats"),
    "shape": ("pixels", LEVELS[:, :, :5], r"found shape \[80, 1, 5, 6\]; the run was trained on"),
    "flattened": ("pixels", LEVELS.reshape(80, -1), r"needed is \[N, 1, 6, 6\]"),
    "nan": ("numbers", np.full((4, 5), np.nan), "row 0 holds NaN"),
    "too large": ("numbers", np.full((4, 5), 1e300), "beyond float32"),
    "empty": ("numbers", np.zeros((0, 5)), "no rows"),
    "a table for pictures": ("pixels", {"a": [1]}, "is a table, and the run was trained on inputs"),
    "no such column": ("table", {"height": [1], "age": [2]}, "lacks girth, which the run"),
    "no names": ("table", {"1.5": [1], "2.5": [2]}, "lacks height, girth"),
    "unknown label": ("table", {**trees(2), "kind": ["oak", "ash"]}, "'ash'.* without labels"),
    "words": ("table", {"height": [1], "girth": ["x"]}, "line 2, column 'girth': found 'x'"),
    "too few columns": ("numbers", {"a": [1.5], "b": [2]}, r"found 2 \(a, b\).*trained on 5"),
    "pictures for numbers": ("numbers", "L", r"inputs of shape \[5\]"),
    "colours": ("pixels", "RGB", "data.colour=grey converts"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_other_columns_shapes_and_units_are_refused(case: str, runs: Path, tmp_path: Path) -> None:
    run, content, words = REFUSED[case]
    if isinstance(content, dict):
        path = table(tmp_path / "new.csv", content)
    elif isinstance(content, str):
        path = pictures(tmp_path / "new", content)
        if case == "colours":
            Image.fromarray(RNG.integers(0, 255, (6, 6, 3)).astype(np.uint8)).save(path / "9.png")
    else:
        path = tmp_path / "new.npy"
        np.save(path, content)
    with pytest.raises(UsageError, match=words):
        predicted(runs / run, path, out=tmp_path / "out")
    assert not list(tmp_path.glob("out/predictions*"))


def test_other_sizes_are_refused_or_fitted(runs: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "new", size=9)
    with pytest.raises(UsageError, match=r"9x9 pixels; the run was trained on 6x6: data.size=6"):
        predicted(runs / "pixels", folder, out=tmp_path)
    assert len(predicted(runs / "pixels", folder, "data.size=6", out=tmp_path)) == 3


def test_names_that_are_no_utf8_are_written_with_escapes(runs: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    for name in ("plain", odd):
        pictures(tmp_path / "set" / name)
    given = ["data=folder", f"data.path={tmp_path / 'set'}", "data.test=0.4", "data.validation=0"]
    lipsort(["train", *given, *SMALL, f"hydra.run.dir={tmp_path / 'run'}"])
    for form in ("csv", "parquet"):
        options = [f"format={form}", f"hydra.run.dir={tmp_path}"]
        assert lipsort(["predict", str(tmp_path / "run"), str(tmp_path / "set"), *options]) == 0
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["label"] == r"\udcff" and rows[-1]["file"] == r"\udcff/2.png"


def test_a_table_in_another_unit_is_asked_about(runs: Path, tmp_path: Path, capsys: Any) -> None:
    for times, asked in ((1e-6, False), (1.0, False), (1e6, True)):
        rows = {name: [value * times for value in trees(2)[name]] for name in ("height", "girth")}
        predicted(runs / "table", table(tmp_path / "new.csv", rows), out=tmp_path)
        assert ("are both in one unit?" in capsys.readouterr().err) == asked


@pytest.mark.parametrize(
    ("run", "labels", "names"),
    [
        ("numbers", np.array([True, False]), ["1", "0"]),
        ("table", np.array([b"oak", b"oak"]), ["oak", "oak"]),
    ],
)
def test_labels_of_an_archive(
    run: str, labels: np.ndarray, names: list[str], runs: Path, tmp_path: Path
) -> None:
    inputs = np.ones((2, 5 if run == "numbers" else 2))
    np.savez(tmp_path / "new.npz", x=inputs, y=labels)
    rows = predicted(runs / run, tmp_path / "new.npz", out=tmp_path)
    assert [row["label"] for row in rows] == names


def test_a_failure_half_way_leaves_the_old_predictions(runs: Path, tmp_path: Path) -> None:
    rows = RNG.normal(size=(3000, 5))
    np.save(tmp_path / "new.npy", rows)
    assert len(predicted(runs / "numbers", tmp_path / "new.npy", out=tmp_path)) == 3000
    before = (tmp_path / "predictions.csv").read_bytes()
    rows[2999] = np.nan
    np.save(tmp_path / "new.npy", rows)
    with pytest.raises(UsageError, match="row 2999 holds NaN"):
        predicted(runs / "numbers", tmp_path / "new.npy", out=tmp_path)
    assert (tmp_path / "predictions.csv").read_bytes() == before
    assert not list(tmp_path.glob(".predictions*"))


def test_other_data_and_settings_replace_predictions_with_a_word(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, options, expected in (
        ("a.npy", (), ""),
        ("a.npy", (), ""),
        ("b.npy", (), "predictions.json of data.path="),
        ("b.npy", ("norm=linf",), "predictions.json of norm=null (now linf)"),
    ):
        np.save(tmp_path / name, RNG.normal(size=(3, 5)))
        predicted(runs / "numbers", tmp_path / name, *options, out=tmp_path / "out")
        _, *said = " ".join(capsys.readouterr().out.split()).split("replaced: ")
        assert [words.startswith(expected) for words in said] == [True] * bool(expected)


def test_rows_are_read_a_batch_at_a_time(runs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "new.npy", RNG.normal(size=(5000, 5)))
    predictor = open_predictor(runs / "numbers")
    options = settled(UnseenData(), predictor.data)
    found = unseen.open_unseen(str(tmp_path / "new.npy"), predictor.taken, options)
    sizes = [len(batch.inputs) for batch in found.batches()]
    assert max(sizes) <= 1024 and sum(sizes) == 5000


def test_what_the_command_line_means(runs: Path, tmp_path: Path) -> None:
    run, new = str(runs / "numbers"), tmp_path / "new.npy"
    np.save(new, RNG.normal(size=(4, 5)))
    for words in ([run, str(new)], [f"run={run}", str(new)], [run, f"data={new}"],
                  [f"data.path={new}", run]):  # fmt: skip
        assert lipsort(["predict", *words, f"hydra.run.dir={tmp_path}"]) == 0
    with pytest.raises(UsageError, match="data.path: required"):
        lipsort(["predict", run])
    with pytest.raises(UsageError, match="allowed: one RUN directory before DATA"):
        lipsort(["predict", run, run, str(new)])
    with pytest.raises(UsageError, match="found binary64 with units=deviations"):
        lipsort(["predict", run, str(new), "units=deviations", "arithmetic=binary64"])
    with pytest.raises(UsageError, match="units: found deviations; the network does not divide"):
        lipsort(["predict", run, str(new), "units=deviations", f"hydra.run.dir={tmp_path}"])


def test_a_run_that_does_not_say_what_it_took_is_refused(runs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("model.safetensors", ".hydra", "run.json"):
        (copy / name).symlink_to(runs / "numbers" / name)
    (copy / "run.json").unlink()
    record = json.loads((runs / "numbers" / "run.json").read_text())
    del record["data"]["inputs"]
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(LipsortError, match="does not say how the run's inputs were read"):
        open_predictor(copy)
