"""No number is rounded before the proof starts: every dtype, every reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from lipsort_cli.config.distributions import FilesDistribution
from lipsort_cli.data.points import Samples, aligned, centre_and_spread
from lipsort_cli.data.precision import moved, parts, two_sum
from lipsort_cli.data.samples import load_pair, load_samples
from lipsort_cli.data.taken import Taken
from lipsort_cli.data.unseen import from_rows
from lipsort_cli.errors import UsageError

NOW = 1_700_000_000_000_000_000
"""A time in nanoseconds: binary64 counts in steps of 256 there."""

READERS = ["npy", "npz", "fortran", "csv", "semicolon", "txt", "parquet"]


def write(folder: Path, stem: str, kind: str, values: np.ndarray) -> str:
    ending = {"fortran": "npy", "semicolon": "csv"}.get(kind, kind)
    path = folder / f"{stem}.{ending}"
    if kind in ("npy", "fortran"):
        np.save(path, np.asfortranarray(values) if kind == "fortran" else values)
    elif kind == "npz":
        np.savez(path, x=values)
    elif kind == "parquet":
        table = {f"c{j}": column for j, column in enumerate(values.T)}
        parquet.write_table(pyarrow.table(table), path)
    else:
        sign = {"csv": ",", "semicolon": ";", "txt": " "}[kind]
        head = sign.join(f"c{j}" for j in range(values.shape[1]))
        lines = [sign.join(str(value) for value in row) for row in values]
        path.write_text("\n".join([head, *lines]) + "\n")
    return str(path)


def pair(p: str, q: str, **options: Any) -> tuple[Samples, Samples]:
    first, second = load_pair(FilesDistribution(p=p, q=q, **options))
    return aligned(first, second, [np.arange(len(first)), np.arange(len(second))])


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_times_in_nanoseconds(
    tmp_path: Path, kind: str, dtype: type, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = np.arange(24).reshape(12, 2)
    p, q = (NOW + steps).astype(dtype), (NOW + 60 + steps).astype(dtype)
    with pytest.raises(UsageError, match="which binary64 would round"):
        load_samples(write(tmp_path, "p", kind, p))
    x, y = pair(write(tmp_path, "p", kind, p), write(tmp_path, "q", kind, q))
    assert f"{NOW}" in capsys.readouterr().out
    assert np.array_equal(y.exact(slice(None)) - x.exact(slice(None)), np.full((12, 2), 60.0))
    assert x.shift is not None and y.shift is not None and np.array_equal(x.shift, y.shift)
    # What training sees keeps the differences as well.
    assert np.array_equal(y.rows(slice(None)) - x.rows(slice(None)), np.full((12, 2), 60.0))


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("values", [[0, 2**53 + 1], [-(2**62) - 1, 2**62], [3, 2**60 + 1]])
def test_wide_integers_are_refused(tmp_path: Path, kind: str, values: list[int]) -> None:
    column = np.array(values, np.int64)[:, None]
    column = np.concatenate([column, column], axis=1)
    path = write(tmp_path, "p", kind, column)
    with pytest.raises(UsageError, match="which binary64 would round"):
        load_samples(path)
    with pytest.raises(UsageError, match="which binary64 would round"):
        pair(path, path)


@pytest.mark.parametrize("kind", READERS)
def test_large_integers_that_binary64_holds(tmp_path: Path, kind: str) -> None:
    values = np.array([[2**62, 0], [2**53, 2**60], [-(2**63), 7]], np.int64)
    samples = load_samples(write(tmp_path, "p", kind, values))
    assert samples.exact(slice(None)).tolist() == values.astype(float).tolist()


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4",
                                   "f8", ">f8", ">i4", "longdouble"])  # fmt: skip
@pytest.mark.parametrize("kind", ["npy", "npz", "fortran"])
def test_every_dtype_keeps_its_values(tmp_path: Path, kind: str, dtype: str) -> None:
    values = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    samples = load_samples(write(tmp_path, "p", kind, values))
    assert samples.exact(slice(None)).tolist() == [[0, 1], [1, 1], [1, 0]]


@pytest.mark.parametrize("dtype", ["c16", "M8[ns]", "m8[s]", "S3", "U3"])
def test_other_dtypes_are_refused(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.array([0, 1, 2]).astype(dtype))
    with pytest.raises(UsageError, match="allowed: numbers"):
        load_samples(str(tmp_path / "a.npy"))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is binary64 here")
def test_longdouble_is_shifted_or_refused(tmp_path: Path) -> None:
    third = np.full((4, 1), 1, np.longdouble) / 3
    with pytest.raises(UsageError, match="which binary64 would round"):
        load_samples(write(tmp_path, "p", "npy", third * np.arange(1, 5)[:, None]))
    fine = np.longdouble(2) ** 40 + np.arange(4)[:, None] * np.longdouble(2) ** -20
    x, y = pair(write(tmp_path, "p", "npy", fine), write(tmp_path, "q", "npy", fine + 1))
    assert np.array_equal(y.exact(slice(None)) - x.exact(slice(None)), np.ones((4, 1)))


def test_decimals_beyond_binary64(tmp_path: Path) -> None:
    for stem, start in (("p", "000000000"), ("q", "000000060")):
        lines = [f"17000000{i:02d}.{start}" for i in range(5)]
        (tmp_path / f"{stem}.csv").write_text("t\n" + "\n".join(lines) + "\n")
    x, y = pair(str(tmp_path / "p.csv"), str(tmp_path / "q.csv"))
    assert y.exact(slice(None)) - x.exact(slice(None)) == pytest.approx(6e-8, rel=1e-6)
    with pytest.raises(UsageError, match="further digits"):
        load_samples(str(tmp_path / "q.csv"))
    # Where rounding is far below the width, the nearest binary64 is what a decimal means.
    (tmp_path / "r.csv").write_text("x\n0.12345678901234567890\n0.9\n")
    assert load_samples(str(tmp_path / "r.csv")).exact(slice(None))[0, 0] == 0.12345678901234567890


@pytest.mark.parametrize("scale", [1.0, 256.0, 1e-3])
def test_far_floats_are_moved_before_float32(
    tmp_path: Path, scale: float, capsys: pytest.CaptureFixture[str]
) -> None:
    values = 1e9 + scale * np.random.default_rng(0).integers(0, 9, (40, 2))
    x, y = pair(write(tmp_path, "p", "npy", values), write(tmp_path, "q", "npy", values + 4))
    out = capsys.readouterr().out
    assert "off coordinate 0" in out and "of both samples, exactly" in out
    for sample, origin in ((x, values), (y, values + 4)):
        assert np.array_equal(sample.exact(slice(None)) + sample.shift, origin)
        rounded = sample.rows(slice(None)).astype(float)
        assert np.abs(rounded - sample.exact(slice(None))).max() <= 1e-6
    _, spread = centre_and_spread(x, np.arange(40))
    assert spread == pytest.approx(np.sqrt(values.var(0).sum()), rel=1e-6)


def test_the_shift_is_found_from_training_rows_alone(tmp_path: Path) -> None:
    values = 1e9 + np.random.default_rng(0).integers(0, 9, (40, 1)) * 0.5
    other = values.copy()
    other[30:] += 1000
    shifts = []
    for held_out in (values, other):
        x, y = load_pair(
            FilesDistribution(
                p=write(tmp_path, "p", "npy", held_out), q=write(tmp_path, "q", "npy", values),
            )
        )  # fmt: skip
        moved_x, _ = aligned(x, y, [np.arange(30), np.arange(30)])
        assert np.array_equal(moved_x.exact(slice(None)) + moved_x.shift, held_out)
        shifts.append(moved_x.shift)
    assert np.array_equal(*shifts)


def test_near_data_are_left_alone(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((40, 2)) + 10
    x, _ = pair(write(tmp_path, "p", "npy", values), write(tmp_path, "q", "npy", values))
    assert x.shift is None


def test_weights_are_not_rounded(tmp_path: Path) -> None:
    path = write(tmp_path, "p", "npy", np.array([[0.0], [1.0]]))
    for kind in ("npy", "npz", "csv", "parquet"):
        weights = write(tmp_path, "w", kind, np.array([[2**53 + 1], [1]]))
        with pytest.raises(UsageError, match="distribution.p_weights"):
            load_samples(path, weights)
    weights = write(tmp_path, "w", "npy", np.array([2**60, 1]))
    assert load_samples(path, weights).weights.tolist() == [2.0**60, 1.0]
    for scale in (5e-324, 1e-300, 2.0**-140, 1e306):  # shares are meant
        weights = write(tmp_path, "w", "npy", np.array([3 * scale, scale]))
        found = load_samples(path, weights).weights
        assert found is not None and found[0] == 3 * found[1] and 2.0**-180 < found[1] < 2.0**180
    weights = write(tmp_path, "w", "npy", np.array([1e300, 1e-300]))
    with pytest.raises(UsageError, match="distribution.p_weights: .* differ less in size"):
        load_samples(path, weights)


def test_units_must_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (6, 4, 4)).astype(np.uint8)
    flat = levels.reshape(6, -1)
    images = write(tmp_path, "images", "npy", levels)
    x, y = pair(images, write(tmp_path, "f", "npy", (levels / np.float32(255)).astype("f4")))
    assert np.array_equal(x.exact(slice(None)), y.exact(slice(None)))
    assert "read as pixels k/255" in capsys.readouterr().out
    deep = write(tmp_path, "deep", "npy", levels.astype(np.uint16) * 257)
    assert np.array_equal(pair(images, deep)[1].exact(slice(None)), x.exact(slice(None)))
    for other in (levels.astype(np.float32), flat.astype(np.int32)):
        with pytest.raises(UsageError, match="one unit"):
            pair(images, write(tmp_path, "o", "npy", other))
    with pytest.raises(UsageError, match="one unit"):
        pair(write(tmp_path, "a", "npy", flat), write(tmp_path, "b", "npy", flat / 255))
    bits = write(tmp_path, "bits", "npy", (levels > 99).astype(np.uint8))
    assert load_samples(bits).high == 1
    assert pair(bits, bits)[0].high == 1
    with pytest.raises(UsageError, match="one unit"):
        pair(images, bits)


def test_layouts_must_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = np.random.default_rng(0).random((6, 3, 8, 7)).astype(np.float32)
    p = write(tmp_path, "p", "npy", first)
    x, y = pair(p, write(tmp_path, "q", "npy", np.moveaxis(first, 1, -1)))
    assert x.shape == y.shape == (3, 8, 7)
    assert np.array_equal(x.exact(slice(None)), y.exact(slice(None)))
    assert "channels last" in capsys.readouterr().err
    with pytest.raises(UsageError, match="both need the same"):
        pair(p, write(tmp_path, "q", "npy", np.swapaxes(first, 2, 3)))
    pair(p, write(tmp_path, "q", "npy", first.reshape(6, -1)))


def test_parts_are_exact() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.int64, np.uint64):
        info = np.iinfo(dtype)
        ends = np.array([info.min, info.max, 0, 1], dtype)
        values = np.concatenate([rng.integers(info.min, info.max, 500, dtype, True), ends])
        hi, lo = parts(values)
        assert lo is not None
        for value, high, low in zip(values, hi, lo, strict=True):
            assert int(value) == int(high) + int(low)
    a, b = rng.standard_normal(100), rng.standard_normal(100) * 1e-9
    s, e = two_sum(a, b)
    assert np.array_equal(s, a + b) and e.any()
    value, lost = moved(s, e, np.zeros(1))
    assert np.array_equal(value, s) and lost is not None and np.array_equal(lost, np.abs(e))


@pytest.mark.parametrize(("times", "warned"), [(1.0, 0), (1 / 255, 1), (255.0, 1), (1 / 10, 0)])
def test_new_rows_of_another_size_than_the_training_are_warned_of(
    times: float, warned: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of numbers: those that can be told from pixels are refused."""
    rows = np.random.default_rng(0).uniform(-200, 255, (3000, 4)).astype(np.float32)
    taken = Taken((4,), ("a", "b"), low=float(rows.min()), high=float(rows.max()))
    batches = list(from_rows(times * rows, taken, "rows").batches())
    assert len(batches) == 3
    assert capsys.readouterr().err.count("are both in one unit?") == warned
