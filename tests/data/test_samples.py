"""Sample files: every format gives the same rows, and every fault its message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsort_cli.data import rowfile
from lipsort_cli.data.rowfile import RowFile, open_npy
from lipsort_cli.data.samples import centre_and_spread, load_samples
from lipsort_cli.errors import LipsortError, UsageError

RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((13, 3)).astype(np.float32)


def written(folder: Path, kind: str) -> str:
    if kind == "npy":
        np.save(folder / "a.npy", POINTS)
    elif kind == "fortran":
        np.save(folder / "a.npy", np.asfortranarray(POINTS))
        kind = "npy"
    elif kind == "npz":
        np.savez_compressed(folder / "a.npz", points=POINTS)
    elif kind == "csv":
        lines = [",".join(repr(float(v)) for v in row) for row in POINTS]
        (folder / "a.csv").write_text("x,y,z\n" + "\n".join(lines) + "\n")
    elif kind == "txt":
        np.savetxt(folder / "a.txt", POINTS, fmt="%.17g")
    elif kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="pyarrow reads Parquet")
        from pyarrow import parquet

        table = pyarrow.table({name: POINTS[:, i] for i, name in enumerate("xyz")})
        parquet.write_table(table, folder / "a.parquet")
    return str(folder / f"a.{kind}")


@pytest.mark.parametrize("memory", [0, rowfile.MEMORY])
@pytest.mark.parametrize("kind", ["npy", "fortran", "npz", "csv", "txt", "parquet"])
def test_formats_agree(
    tmp_path: Path, kind: str, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rowfile, "MEMORY", memory)
    samples = load_samples(written(tmp_path, kind))
    assert len(samples) == 13 and samples.dim == 3
    assert np.array_equal(samples.rows(slice(0, 13)), POINTS)
    index = np.array([5, 0, 6, 6, 12])
    assert np.array_equal(samples.rows(index), POINTS[index])
    assert samples.single and samples.exact(index).dtype == np.float32
    assert (samples.low, samples.high) == (POINTS.min(), POINTS.max())
    for rows in (np.arange(13), np.array([2, 3, 11])):
        centre, spread = centre_and_spread(samples, rows)
        assert centre == pytest.approx(POINTS[rows].mean(0), abs=1e-6)
        assert spread == pytest.approx(np.sqrt(POINTS[rows].var(0).sum()), rel=1e-5)


def test_npy_streams_and_survives_deletion_but_not_truncation(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, POINTS)
    rows = open_npy(path)
    assert isinstance(rows, RowFile)
    assert np.array_equal(rows[3], POINTS[3])
    assert np.array_equal(rows[::4], POINTS[::4])
    path.unlink()
    assert np.array_equal(rows[2:5], POINTS[2:5])
    np.save(path, POINTS)
    rows = open_npy(path)
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(LipsortError, match="cut short"):
        rows[0:13]


def test_images(tmp_path: Path) -> None:
    from PIL import Image

    pixels = RNG.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    samples = load_samples(str(tmp_path))
    assert samples.points.shape == (4, 1, 5, 6)
    assert np.array_equal(
        samples.rows(slice(0, 4)), (pixels.astype(np.float32) / np.float32(255)).reshape(4, -1)
    )
    Image.fromarray(pixels[0, :3]).save(tmp_path / "9.png")
    with pytest.raises(UsageError, match="6x3 pixels"):
        load_samples(str(tmp_path))
    (tmp_path / "9.png").write_text("no image")
    with pytest.raises(UsageError, match="not a readable image"):
        load_samples(str(tmp_path))


def test_float64_is_kept(tmp_path: Path) -> None:
    exact = RNG.standard_normal((20, 4))
    np.save(tmp_path / "a.npy", exact)
    samples = load_samples(str(tmp_path / "a.npy"))
    assert not samples.single
    assert np.array_equal(samples.exact(slice(0, 20)), exact)
    assert np.array_equal(samples.rows(slice(0, 20)), exact.astype(np.float32))


def test_weights(tmp_path: Path) -> None:
    weights = np.arange(13, dtype=float)
    np.savez(tmp_path / "a.npz", x=POINTS, weights=weights)
    samples = load_samples(str(tmp_path / "a.npz"))
    assert samples.weights is not None and np.array_equal(samples.weights, weights)
    np.savetxt(tmp_path / "w.csv", weights)
    path = written(tmp_path, "npy")
    loaded = load_samples(path, str(tmp_path / "w.csv"))
    assert loaded.weights is not None and np.array_equal(loaded.weights, weights)
    assert loaded.sha256 != load_samples(path).sha256


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.csv", "1,2\n3,x\n", "line 2, column 2: found 'x'"),
        ("a.csv", "1,2\n3\n", "line 2: found 1 value, line 1 has 2"),
        ("a.csv", "1,2\n3,nan\n", "line 2, column 2: found a gap; distribution.gaps=drop"),
        ("a.csv", "", "found an empty table"),
        ("a.csv", "1,2\n", "at least two points"),
        ("a.npy", "nonsense", "cannot be read"),
        ("a.npz", "nonsense", "cannot be read"),
        ("a.parquet", "nonsense", "cannot be read"),
        ("a.docx", "nonsense", "allowed: .npy"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match="distribution.q") as caught:
        load_samples(str(tmp_path / name), key="q")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.array([[1.0], [np.inf]]), "inf in row 1"),
        (np.array([[1.0], [1e300]]), "float32's range"),
        (np.empty((0, 3)), "0 points"),
        (np.empty((3, 0)), "at least one coordinate"),
        (np.array(["a", "b"]), "allowed: numbers"),
        (np.float64(3), "a single number"),
    ],
)
def test_bad_arrays(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UsageError, match=words):
        load_samples(str(tmp_path / "a.npy"))


def test_objects_missing_files_arrays_and_weights(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="Python objects"):
        load_samples(str(tmp_path / "o.npy"))
    with pytest.raises(UsageError, match="no such file"):
        load_samples(str(tmp_path / "none.npy"))
    np.savez(tmp_path / "two.npz", a=POINTS, b=POINTS)
    with pytest.raises(UsageError, match="say which one"):
        load_samples(str(tmp_path / "two.npz"))
    assert len(load_samples(f"{tmp_path / 'two.npz'}:b")) == 13
    with pytest.raises(UsageError, match="no array 'c'"):
        load_samples(f"{tmp_path / 'two.npz'}:c")
    path = written(tmp_path, "npy")
    overflowing = np.full(13, 1e308)
    for bad in (np.ones(12), np.zeros(13), -np.ones(13), np.full(13, np.nan), overflowing, 1.0):
        np.save(tmp_path / "w.npy", bad)
        with pytest.raises(UsageError, match="weights"):
            load_samples(path, str(tmp_path / "w.npy"))
    with path_truncated(path), pytest.raises(UsageError, match="cut short"):
        load_samples(path)


@pytest.mark.parametrize(
    "weights",
    [
        np.ones(13) * 1j,
        np.full(13, "1"),
        np.zeros(13, "M8[s]"),
        np.ones((13, 1, 2)),
        np.ones((1, 13)),
    ],
    ids=lambda weights: f"{weights.dtype} {weights.shape}",
)
def test_weights_are_one_real_number_for_each_point(weights: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", weights)
    with pytest.raises(UsageError, match=r"distribution.p_weights: .*w\.npy"):
        load_samples(written(tmp_path, "npy"), str(tmp_path / "w.npy"))


def test_a_table_of_weights_has_one_column(tmp_path: Path) -> None:
    """What says which columns are points says nothing of weights, and is not offered."""
    (tmp_path / "w.csv").write_text("id,w\n" + "".join(f"{i},1\n" for i in range(13)))
    with pytest.raises(UsageError, match="holds the columns id, w; allowed: one number") as caught:
        load_samples(written(tmp_path, "npy"), str(tmp_path / "w.csv"))
    assert "distribution.columns" not in str(caught.value)


class path_truncated:
    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def __enter__(self) -> None:
        self.path.write_bytes(self.path.read_bytes()[:-7])

    def __exit__(self, *_: object) -> None: ...
