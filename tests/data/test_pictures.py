"""What a picture's numbers are: the same for data sets and samples, and nothing dropped unsaid."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lipsort_cli.data.folder import load_folder
from lipsort_cli.data.npz import load_npz
from lipsort_cli.data.pictures import Reading, channels_last, listed
from lipsort_cli.data.samples import load_samples
from lipsort_cli.errors import LipsortError, UsageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 5)).astype(np.uint16)
RGB = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
CLEAR = np.where(np.arange(30).reshape(6, 5) % 2, 255, 0).astype(np.uint8)


def folder(root: Path, *files: str, image: np.ndarray | None = None) -> Path:
    for i, name in enumerate(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg"):
            Image.fromarray(np.full((4, 4), i, np.uint8) if image is None else image).save(path)
        else:
            path.write_text("no picture")
    return root


def config(path: Path, **options: Any) -> SimpleNamespace:
    given = {"size": None, "colour": "auto", "test": 0.25, "validation": 0.0, **options}
    return SimpleNamespace(path=str(path), **given)


def read(file: Path, **options: Any) -> np.ndarray:
    reading = Reading(**options)
    return next(reading.read([file], reading.channels([file])))


def over(f: type, full: int, array: np.ndarray) -> np.ndarray:
    return array.astype(f) / f(full)


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("a.png", GREY, over(np.float32, 255, GREY)[None]),
        ("a.bmp", GREY, over(np.float32, 255, GREY)[None]),
        ("a.png", RGB, over(np.float32, 255, np.moveaxis(RGB, 2, 0))),
        ("a.tif", RGB, over(np.float32, 255, np.moveaxis(RGB, 2, 0))),
        ("a.ppm", RGB, over(np.float32, 255, np.moveaxis(RGB, 2, 0))),
        ("a.png", DEEP, over(np.float32, 65535, DEEP)[None]),
        ("a.tif", DEEP, over(np.float32, 65535, DEEP)[None]),
        ("a.pgm", DEEP, over(np.float32, 65535, DEEP)[None]),
        ("a.png", GREY > 99, (GREY > 99).astype(np.float32)[None]),
        ("a.png", np.dstack([RGB, np.full((6, 5), 255, np.uint8)]),
         over(np.float32, 255, np.moveaxis(RGB, 2, 0))),
        ("a.png", np.dstack([GREY, np.full((6, 5), 255, np.uint8)]),
         over(np.float32, 255, GREY)[None]),
    ],
)  # fmt: skip
def test_levels_over_their_full_scale(
    tmp_path: Path, name: str, image: np.ndarray, expected: np.ndarray
) -> None:
    mode = "LA" if image.ndim == 3 and image.shape[2] == 2 else None
    Image.fromarray(image, mode).save(tmp_path / name)
    assert np.array_equal(read(tmp_path / name), expected)
    # A sample file reads the same numbers as a data set.
    Image.fromarray(image, mode).save(tmp_path / f"b{name}")
    samples = load_samples(str(tmp_path))
    assert np.array_equal(samples.rows(slice(0, 1))[0], expected.ravel())
    assert np.array_equal(load_folder(config(tmp_path)).test.inputs[0].numpy(), expected)


def palette(image: Image.Image) -> Image.Image:
    return image.quantize(8)


@pytest.mark.parametrize(
    ("make", "save"),
    [
        (lambda: Image.fromarray(np.dstack([RGB, CLEAR])), {}),
        (lambda: Image.fromarray(np.dstack([GREY, CLEAR]), "LA"), {}),
        (lambda: palette(Image.fromarray(RGB)), {"transparency": 3}),
        (lambda: Image.fromarray(GREY), {"transparency": int(GREY[0, 0])}),
        (lambda: Image.fromarray(RGB), {"transparency": tuple(int(v) for v in RGB[0, 0])}),
        (lambda: Image.fromarray(DEEP), {"transparency": int(DEEP[0, 0])}),
    ],
    ids=["RGBA", "LA", "P", "L key", "RGB key", "16 bit key"],
)
def test_invisible_colours_do_not_count(
    tmp_path: Path, make: Callable[[], Image.Image], save: dict[str, Any]
) -> None:
    make().save(tmp_path / "a.png", **save)
    with pytest.raises(UsageError, match=r"data\.background=white"):
        read(tmp_path / "a.png")
    for ground, level in (("white", 1.0), ("black", 0.0)):
        pixels = read(tmp_path / "a.png", background=ground)
        assert (pixels == level).all(0).any()


def test_hidden_colours_make_no_distance(tmp_path: Path) -> None:
    for name, colour in (("p", 10), ("q", 200)):
        rgba = np.dstack([np.where(CLEAR[..., None] == 0, colour, RGB).astype(np.uint8), CLEAR])
        for i in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(rgba).save(tmp_path / name / f"{i}.png")
    options = SimpleNamespace(background="black")
    p, q = (load_samples(str(tmp_path / name), options=options) for name in "pq")
    assert np.array_equal(p.rows(slice(None)), q.rows(slice(None)))


def deep_png(path: Path, kind: int) -> None:
    """Header and data of a PNG of 16 bits a channel: 2 is RGB, 6 RGBA, 4 grey with alpha."""
    import struct
    import zlib

    channels = {2: 3, 4: 2, 6: 4}[kind]
    rows = b"".join(b"\0" + bytes(2 * channels * 4) for _ in range(4))

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_sixteen_bits_of_colour_are_not_cut_to_eight(tmp_path: Path, kind: int) -> None:
    deep_png(tmp_path / "a.png", kind)
    with pytest.raises(UsageError, match="16 bits a colour channel"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "image", "save", "words"),
    [
        ("a.tif", Image.fromarray(DEEP.astype(np.float32)), {}, "32 bits a channel in mode F"),
        ("a.tif", Image.fromarray(DEEP.astype(np.int32)), {}, "32 bits a channel in mode I"),
        ("a.gif", Image.fromarray(GREY),
         {"save_all": True, "append_images": [Image.fromarray(255 - GREY)]}, "several pictures"),
        ("a.tif", Image.fromarray(GREY),
         {"save_all": True, "append_images": [Image.fromarray(GREY)]}, "several pictures"),
    ],
)  # fmt: skip
def test_what_would_be_dropped_is_refused(
    tmp_path: Path, name: str, image: Image.Image, save: dict[str, Any], words: str
) -> None:
    image.save(tmp_path / name, **save)
    with pytest.raises(UsageError, match=words):
        read(tmp_path / name)


def test_odd_full_scales_and_damage_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5\n# twelve bits\n2 2\n4095\n" + bytes(8))
    with pytest.raises(UsageError, match="levels up to 4095"):
        read(tmp_path / "a.pgm")
    (tmp_path / "b.pgm").write_bytes(b"P5\n2 2\n15\n" + bytes([0, 5, 10, 15]))
    assert read(tmp_path / "b.pgm").ravel().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    Image.fromarray(RGB).save(tmp_path / "c.jpg")
    whole = (tmp_path / "c.jpg").read_bytes()
    for content in (b"", b"junk", whole[:300], b"P5\n2 2\n255\n\0"):
        (tmp_path / "d.png").write_bytes(content)
        with pytest.raises(UsageError, match="not a readable image"):
            read(tmp_path / "d.png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_pictures_stand_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 200
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
            6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose[undo[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tif": {"compression": "tiff_lzw"}, "png": {}}.get(ending, {"quality": 95})
    stored.save(tmp_path / f"a.{ending}", exif=exif, **options)
    pixels = read(tmp_path / f"a.{ending}")
    assert pixels.shape[1:] == (16, 32)
    assert np.abs(pixels[0] - upright / 255).max() < 0.1
    if ending == "tif" and orientation > 4:
        stored.save(tmp_path / "b.tif", exif=exif)
        with pytest.raises(UsageError, match="which Pillow puts in a wrong order"):
            read(tmp_path / "b.tif")


def test_colours_are_kept_whatever_comes_first(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "0.png")
    Image.fromarray(RGB).save(tmp_path / "1.png")
    samples = load_samples(str(tmp_path))
    assert samples.shape == (3, 6, 5)
    assert np.array_equal(samples.rows(slice(0, 1)).reshape(3, 6, 5)[1] * 255, GREY)
    assert load_folder(config(tmp_path, colour="grey")).input_shape == (1, 6, 5)


def test_sizes_differ_or_are_cut(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "0.png")
    Image.fromarray(RGB[:3]).save(tmp_path / "1.png")
    with pytest.raises(UsageError, match=r"5x3 pixels, 0.png 5x6.*data\.size=N"):
        load_folder(config(tmp_path))
    assert load_folder(config(tmp_path, size=4)).input_shape == (3, 4, 4)
    Image.fromarray(DEEP).save(tmp_path / "2.png")
    deep = read(tmp_path / "2.png", size=5)
    assert 0.2 < deep.mean() < 0.8


# --- folders --------------------------------------------------------------------------------------


def test_what_is_no_picture_of_a_class_is_skipped_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(
        tmp_path / "x", "a/1.png", "a/2.png", "b/1.PNG", "b/deep/er/2.png",
        ".ipynb_checkpoints/1.png", "a/.thumbs/1.png", "a/._1.png", "a/Thumbs.db", "b/notes.txt",
        "__MACOSX/a/1.png",
        "empty/readme.md", "cover.png",
    )  # fmt: skip
    data = load_folder(config(root))
    assert data.names == ("a", "b") and data.classes == 2
    assert len(data.train) + len(data.test) == 4
    said = capsys.readouterr().out
    for name in (".ipynb_checkpoints", "skipped"):
        assert name in said


def test_pipes_and_bombs(tmp_path: Path) -> None:
    folder(tmp_path / "x", "1.png", "2.png")
    os.mkfifo(tmp_path / "x" / "3.png")
    with pytest.raises(LipsortError, match=r"3\.png"):
        load_samples(str(tmp_path / "x"))
    for side, words in ((6000, "6000x6000 pixels; allowed: at most"), (14_000, "not a readable")):
        Image.new("1", (side, side)).save(tmp_path / "bomb.png")
        with pytest.raises(UsageError, match=words):
            read(tmp_path / "bomb.png")
    Image.new("1", (6000, 6000)).save(tmp_path / "bomb.png")
    assert read(tmp_path / "bomb.png", size=4).shape == (1, 4, 4)


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    folder(tmp_path / "far", "1.png", "2.png")
    folder(tmp_path / "x", "a/1.png", "a/2.png", "b/1.png")
    (tmp_path / "x" / "b" / "more").symlink_to(tmp_path / "far")
    (tmp_path / "x" / "b" / "round").symlink_to(tmp_path / "x" / "b")
    (tmp_path / "x" / "again").symlink_to(tmp_path / "x")  # no class of all pictures
    data = load_folder(config(tmp_path / "x"))
    assert len(data.train) + len(data.test) == 5


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val", "dev", "val2017", "val_set"])
def test_validation_folders(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    splits = {"train": 6, name: 2}
    files = [f"{s}/{c}/{i}.png" for s, n in splits.items() for c in "ab" for i in range(n)]
    data = load_folder(config(folder(tmp_path / "x", *files, ".cache/1.png", "labels.csv")))
    assert data.names == ("a", "b")
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 4, 3)
    said = capsys.readouterr().out
    assert "no test folder" in said and ".cache, labels.csv" in said
    more = [f"TEST/{c}/{i}.png" for c in "ab" for i in range(3)]
    data = load_folder(config(folder(tmp_path / "x", *more)))
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 6)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"], "they must agree"),
        (["in/a/1.png", "in/b/1.png", "__MACOSX/in/a/1.png"], r"data\.path=\S*/x/in takes these"),
        (["test/a/1.png", "test/b/1.png"], r"data\.path=\S*/x/test takes these"),
        (["in/train/a/1.png", "in/test/a/1.png"], r"data\.path=\S*/x/in takes these"),
        (["train/a/1.png", "val/a/1.png", "extra/a/1.png"], "splits alone, or classes alone"),
        (["val/a/1.png", "test/a/1.png"], "no train folder"),
        (["val/a/1.png", "train/a/1.png", "valid/a/1.png"], "both name the validation split"),
        (["train/a/1.png", "eval/a/1.png"], "hold subfolders of the same names"),
        (["train/a/1.png", "hold-out/a/1.png", "docs/b/1.png"], "of the same names"),
        (["notes.txt"], "holds no images"),
        (["a.png"], "at least 2 are needed"),
    ],
)
def test_folders_that_mean_nothing_clear(tmp_path: Path, files: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_folder(config(folder(tmp_path / "x", *files)))


def test_a_train_among_cars_is_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [f"{c}/{i}.png" for c in ("bus", "car", "train") for i in range(3)]
    assert load_folder(config(folder(tmp_path / "x", *files))).names == ("bus", "car", "train")
    assert "read as a class" in capsys.readouterr().out


def test_a_sample_is_one_folder(tmp_path: Path) -> None:
    folder(tmp_path / "p", "1.png", "2.png", ".cache/3.png")
    assert len(load_samples(str(tmp_path / "p"))) == 2
    folder(tmp_path / "p", "more/1.png")
    with pytest.raises(UsageError, match="in subfolders"):
        load_samples(str(tmp_path / "p"))


# --- arrays ---------------------------------------------------------------------------------------


def arrays(path: Path, x: np.ndarray, x_test: np.ndarray | None = None, **options: Any) -> Any:
    y = np.arange(len(x)) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x if x_test is None else x_test, y_test=y)
    return load_npz(SimpleNamespace(path=str(path), validation=0.0, **options))


def test_arrays_that_are_left_out_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = np.eye(4, dtype=np.float32), np.arange(4) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y, x_val=x, y_val=y)
    load_npz(SimpleNamespace(path=str(tmp_path / "a.npz"), validation=0.0))
    assert "are read: x_val, y_val" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dtype", "full"),
    [("u1", 255), ("u2", 65535), ("f2", 1), ("f4", 1), ("f8", 1), (">f4", 1), ("?", 1)],
)
def test_arrays_in_their_units(tmp_path: Path, dtype: str, full: int) -> None:
    x = np.array([[0, 1], [0, 1]]).astype(dtype)
    assert arrays(tmp_path / "a.npz", x).train.inputs.max() == 1  # 0 and 1 mean themselves
    if full > 1:
        deep = (x * full).astype(dtype)
        assert arrays(tmp_path / "a.npz", deep).train.inputs.max() == 1
        half = arrays(tmp_path / "a.npz", deep // 5, deep).train.inputs.max()
        assert half == np.float32(full // 5) / np.float32(full)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(
    ("first", "second"), [("u1", "f4"), ("u1", "f8"), ("u1", "u2"), ("u2", "f4"), ("?", "f4")]
)
def test_two_units_are_refused(tmp_path: Path, first: str, second: str, swap: bool) -> None:
    x = np.random.default_rng(0).integers(0, 256, (8, 4))
    sides = [x.astype(first), x.astype(second)][:: -1 if swap else 1]
    with pytest.raises(LipsortError, match="save both in one unit"):
        arrays(tmp_path / "a.npz", *sides)


@pytest.mark.parametrize("swap", [False, True])
def test_floats_scaled_on_one_side_are_refused(tmp_path: Path, swap: bool) -> None:
    x = np.random.default_rng(0).integers(0, 256, (8, 4)).astype(np.float32)
    for scaled, raw in ((x / 255, x), (x / 127.5 - 1, x), (x / 255, x - 128), (x / 255, x * 257)):
        sides = [scaled, raw][:: -1 if swap else 1]
        with pytest.raises(LipsortError, match="save both in one unit"):
            arrays(tmp_path / "a.npz", *sides)


def test_units_that_may_differ_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    normal = np.random.default_rng(0).normal(size=(8, 4))
    arrays(tmp_path / "a.npz", normal, 60 * normal + 120.5)
    assert "are both in one unit?" in capsys.readouterr().err
    for dtype in ("u1", "u2"):  # counts, or dark pictures
        x = np.random.default_rng(0).integers(0, 17, (8, 4)).astype(dtype)
        arrays(tmp_path / "a.npz", x)
        np.save(tmp_path / "b.npy", x[:, None])
        load_samples(str(tmp_path / "b.npy"))
        said = capsys.readouterr().err
        assert said.count(f"read as pixels k/{256 ** int(dtype[1]) - 1}, though none is above") == 2
    arrays(tmp_path / "a.npz", normal, 5 * normal)
    arrays(tmp_path / "a.npz", (x > 8).astype(np.uint8))
    assert capsys.readouterr().err == ""


def test_inputs_that_float32_blurs_are_refused(tmp_path: Path) -> None:
    x = 1.7e9 + np.random.default_rng(0).random((8, 2))
    with pytest.raises(LipsortError, match="float32 would lose its differences"):
        arrays(tmp_path / "a.npz", x)
    assert arrays(tmp_path / "a.npz", np.full((8, 2), 0.1)).input_shape == (2,)
    if np.finfo(np.longdouble).nmant > 52:
        times = 17 * np.longdouble(10) ** 17 + np.arange(16).reshape(8, 2)
        with pytest.raises(LipsortError, match="float32 would lose its differences"):
            arrays(tmp_path / "a.npz", times)
    x = np.full((8, 2), 0.1)
    x[::2] = np.nextafter(x[::2], 1)  # constant but for rounding
    assert arrays(tmp_path / "a.npz", x).input_shape == (2,)


def test_channels_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).random((8, 6, 5, 3)).astype(np.float32)
    data = arrays(tmp_path / "a.npz", x)
    assert data.input_shape == (3, 6, 5)
    assert np.array_equal(data.train.inputs.numpy(), np.moveaxis(x, 3, 1))
    assert "channels last" in capsys.readouterr().err
    assert arrays(tmp_path / "a.npz", x, channels="first").input_shape == (6, 5, 3)
    assert arrays(tmp_path / "a.npz", x, channels="last").input_shape == (3, 6, 5)
    assert capsys.readouterr().err == ""
    assert not channels_last((1, 28, 28)) and not channels_last((3, 8, 3))
    wide = ((8, 8, 6), (64, 64, 10), (9, 9, 200))
    for shape in ((28, 28, 1), (28, 28, 3), (32, 48, 3), (8, 8, 2), (32, 32, 4), *wide):
        assert channels_last(shape)
    for shape in ((28, 28), (16, 4, 4), (4, 4, 1), (2, 30, 3), (12, 1, 1), (28, 28, 28)):
        assert not channels_last(shape)


def tiff(path: Path, bits: int, photometric: int = 1, signs: int = 1) -> Path:
    """A grey TIFF of 6x8 pixels whose bits are all 1; 0 in ``photometric``: white is 0."""
    data = b"\xff" * (6 * 8 * bits // 8)
    tags = {256: 6, 257: 8, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 8}
    tags |= {279: len(data), 339: signs}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    path.write_bytes(head + entries + bytes(4) + data)
    return path


@pytest.mark.parametrize(
    ("bits", "photometric", "signs", "expected"),
    [
        (4, 1, 1, 1.0),
        (8, 1, 1, 1.0),
        (16, 1, 1, 1.0),
        (8, 0, 1, 0.0),
        (8, 1, 2, "levels with a sign"),
        (16, 1, 2, "16 bits|sign|mode"),
        (12, 1, 1, "12 bits a channel"),
        (16, 0, 1, "white as 0"),
    ],
)
def test_levels_of_a_tiff_are_what_it_says_or_refused(
    bits: int, photometric: int, signs: int, expected: float | str, tmp_path: Path
) -> None:
    path = tiff(tmp_path / "a.tif", bits, photometric, signs)
    if isinstance(expected, float):
        assert (read(path) == expected).all()
    else:
        with pytest.raises(LipsortError, match=expected):
            read(path)


def test_a_link_that_leads_up_brings_no_pictures_of_other_folders(tmp_path: Path) -> None:
    folder(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    found, _ = listed(tmp_path / "a", deep=True)
    assert [path.name for path in found] == ["1.png"]


def test_folders_alike_that_are_different_classes_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "x", *(f"{name}/{i}.png" for name in ("Cat", "cat") for i in range(4)))
    assert load_folder(config(root)).names == ("Cat", "cat")
    said = " ".join(capsys.readouterr().err.split())
    assert "the labels 'Cat', 'cat' are the same but for case" in said


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="far, which does not exist"):
        load_folder(config(tmp_path / "far"))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file, which is no folder"):
        load_folder(config(tmp_path / "file"))
