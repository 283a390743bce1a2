"""Data sets given with --data: whatever is no data set is a user's slip, however it is damaged."""

from __future__ import annotations

import io
import shlex
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import adapter
import numpy as np
import pytest
from forgery import load, unpack
from honest import issue_classifier

from lipsort_cli.verifier.__main__ import report
from lipsort_cli.verifier.verify import Verdict

Write = Callable[[Path, np.ndarray, np.ndarray], None]
"""Writes a file at a path from the certificate's levels ``[N, 1, 3, 2]`` and labels."""


def arrays(inputs: Any = None, labels: Any = None) -> Write:
    """An ``.npz`` of what two functions make of pixels in [0, 1] and of labels."""

    def write(path: Path, levels: np.ndarray, given: np.ndarray) -> None:
        x = levels.astype(np.float32) / np.float32(255)
        x, y = (inputs or np.asarray)(x), (labels or np.asarray)(given)
        np.savez(path, x_test=x, y_test=y)

    return write


def members(x: bytes, flags: int = 0, method: int = 0) -> Write:
    """An archive with ``x`` as it is for the inputs, and other flags or another method stated."""

    def write(path: Path, _: np.ndarray, labels: np.ndarray) -> None:
        stream, y = io.BytesIO(), io.BytesIO()
        np.save(y, labels)
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("x_test.npy", x)
            archive.writestr("y_test.npy", y.getvalue())
        contents = stream.getvalue()
        for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            start = contents.find(mark)
            while start >= 0:
                stated = struct.pack("<HH", flags, method)
                at = start + place
                contents = contents[:at] + stated + contents[at + 4 :]
                start = contents.find(mark, start + 1)
        path.write_bytes(contents)

    return write


def headed(text: str) -> bytes:
    """The beginning of an ``.npy`` file with this header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def idx(images: Any = None, labels: Any = None) -> Write:
    """A pair of IDX files."""

    def packed(array: np.ndarray) -> bytes:
        sizes = b"".join(struct.pack(">I", size) for size in array.shape)
        return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()

    def write(path: Path, levels: np.ndarray, given: np.ndarray) -> None:
        images_of, labels_of = images or np.asarray, labels or np.asarray
        path.write_bytes(packed(images_of(levels[:, 0])))
        other = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        other.write_bytes(packed(labels_of(given)))

    return write


PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"
ODD: dict[str, Write] = {
    "two numbers.npz": arrays(lambda x: x[0, 0, 0, 0], lambda y: y[0]),
    "too few labels.npz": arrays(None, lambda y: y[:3]),
    "labels in a column.npz": arrays(None, lambda y: y[:, None]),
    "labels as floats.npz": arrays(None, np.float64),
    "labels as words.npz": arrays(None, lambda y: y.astype(str)),
    "labels as days.npz": arrays(None, lambda y: y.astype("M8[D]")),
    "structures.npz": arrays(lambda x: np.zeros(6, [("a", "<f4")])),
    "complex.npz": arrays(lambda x: x.astype(complex)),
    "halves.npz": arrays(np.float16),
    "doubles.npz": arrays(np.float64),
    "flat.npz": arrays(lambda x: x.reshape(6, -1)),
    "nothing.npz": lambda path, *_: path.write_bytes(b""),
    "an empty archive.npz": lambda path, *_: zipfile.ZipFile(path, "w").close(),
    "no array.npz": members(b"no array"),
    "encrypted.npz": members(headed(PLAIN % "(1,)"), flags=1),
    "an unknown method.npz": members(headed(PLAIN % "(1,)"), method=99),
    "lzma that is none.npz": members(headed(PLAIN % "(1,)"), method=14),
    "brackets.npz": members(headed("((((")),
    "many brackets.npz": members(headed("(" * 9000)),
    "a negative size.npz": members(headed(PLAIN % "(-1,)")),
    "a size beyond.npz": members(headed(PLAIN % "(4611686018427387904, 4)")),
    "no type.npz": members(headed(PLAIN.replace("'<f4'", "[]") % "(6,)")),
    "truncated-images-idx3": lambda path, *_: path.write_bytes(b"\0\0\x08\0\1"),
    "a number-images-idx3": idx(lambda x: np.zeros(())),
    "a row-images-idx3": idx(lambda x: np.zeros(6)),
    "too few labels-images-idx3": idx(None, lambda y: y[:3]),
    "one label-images-idx3": idx(None, lambda y: np.zeros(())),
}
GOOD: dict[str, Write] = {
    "as it is.npz": arrays(),
    "the other order.npz": arrays(np.asfortranarray),
    "the other end first.npz": arrays(lambda x: x.astype(">f4"), lambda y: y.astype(">i8")),
    "small labels.npz": arrays(None, np.uint8),
    "CAPITALS.NPZ": lambda path, *given: (
        arrays()(path.with_suffix(".npz"), *given) or path.with_suffix(".npz").rename(path)
    ),
    "more than were certified.npz": arrays(
        lambda x: np.concatenate([x, x]), lambda y: np.concatenate([y, y])
    ),
    "as it is-images-idx3": idx(),
}


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    folder = issue_classifier(tmp_path_factory.mktemp("certified"))
    header, body = unpack((folder / load(folder)["data"]["file"]).read_bytes())
    levels = np.frombuffer(body[slice(*header["inputs"]["data_offsets"])], np.uint8)
    labels = np.frombuffer(body[slice(*header["labels"]["data_offsets"])], "<i8")
    return folder, levels.reshape(6, 1, 3, 2), labels


@pytest.mark.parametrize("name", [*ODD, *GOOD])
def test_data_sets(
    name: str, certified: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    folder, levels, labels = certified
    path = tmp_path / name
    {**ODD, **GOOD}[name](path, levels, labels)
    status, field, reason = adapter.verdict(folder, data=path)
    assert status == ("VALID" if name in GOOD else "MISUSED"), (field, reason)
    assert "cannot judge" not in reason


def test_what_is_printed_and_where(certified: tuple[Path, np.ndarray, np.ndarray]) -> None:
    """Names that are no Unicode, and pipes that close early."""
    folder = certified[0]
    for reason in ("no file at /tmp/\udcff", "no file at /tmp/ÿ"):
        for encoding in ("utf-8", "cp1252", "ascii"):
            with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding)):
                text = report(Verdict("INVALID", field="network.file", reason=f"{reason}, д"))
            assert text.encode(encoding)
    words = f"{shlex.quote(sys.executable)} -m lipsort_cli.verifier {shlex.quote(str(folder))}"
    found = subprocess.run(f"{words} | true", shell=True, capture_output=True, text=True)
    assert found.stderr == ""
