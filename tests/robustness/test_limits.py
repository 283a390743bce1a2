"""Files that would take for ever, or all memory: an answer within 5 s and 1 GiB by every reader."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import ON_RUNS, TINY, UNSUPPORTED, Outcome, attempt

import lipsort_cli

SECONDS = 5
MEBIBYTES = 700
"""Of the 1,024, what a process has left that has imported all it needs."""
TINY_FILES = ["estimate-wasserstein", *TINY["estimate-wasserstein"][2:], "distribution=files"]


def sparse(path: Path, size: int, start: bytes = b"") -> None:
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)


def deep(path: Path) -> None:
    """100,000 levels, in what the file is written in."""
    text = b"[" * 100_000 + b"]" * 100_000
    if path.suffix == ".safetensors":
        text = b'{"a":' + text + b"}"
        text = struct.pack("<Q", len(text)) + text
    path.write_bytes(text)


def aliases(path: Path) -> None:
    rows = "".join(f"a{i + 1}: &a{i + 1} [{','.join([f'*a{i}'] * 9)}]\n" for i in range(20))
    path.write_text(f"a0: &a0 [x,x,x,x,x,x,x,x,x]\n{rows}")


ANYWHERE: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "a tebibyte": lambda path: sparse(path, 2**40),
    "as large as is let in": lambda path: sparse(path, 2**24 - 1),
    "a large log": lambda path: sparse(path, 2**30 - 1),
    "a large network": lambda path: sparse(path, 2**31),
    "hollow": lambda path: sparse(path, 2**34, path.read_bytes()[:4096]),
    "100,000 levels": deep,
    "many small things": lambda path: path.write_bytes(b"[" + b"{},[]," * 2_700_000 + b"0]"),
    "aliases": aliases,
}
"""What may stand in place of any file of a run."""


def within_limits(done: Outcome, allowed: tuple[int, ...] = (0, 1, 2)) -> None:
    assert done.code in allowed, (done.code, done.out, done.err[-500:])
    assert "Traceback" not in done.err, done.err
    assert done.processor < SECONDS, f"{done.processor} s"
    assert done.megabytes < MEBIBYTES, f"{done.megabytes} MiB"


# --- runs ---------------------------------------------------------------------------------------


def commands(kind: str) -> list[list[str]]:
    """What opens the files of a run."""
    found = [["report", kind, "pictures=false", "hydra.run.dir=out"], ["inspect", kind, "points=5"],
             [kind, f"resume={kind}"]]  # fmt: skip
    if kind == "train":
        found += [[name, kind, *options] for name, options in ON_RUNS.items() if name != "inspect"]
        found += [["generalisation", kind], ["verify", f"{kind}/certificate.json"]]
    if kind == "wgan":
        found += [[*TINY_FILES[:-1], "distribution=generator", f"distribution.run={kind}"]]
    return found


def files_of(run: Path) -> list[Path]:
    """All files that a command may read again."""
    unread = (".png", ".gif", ".html", ".md", ".log")
    return sorted(
        path.relative_to(run)
        for path in run.rglob("*")
        if path.is_file()
        and path.suffix not in unread
        and not str(path.relative_to(run)).startswith((".hydra-", "export"))
    )


def opened(shop: Any, here: Path, kind: str, file: Path, attack: str, command: list[str]) -> None:
    here.mkdir()
    path = shop.copy(kind, here) / file
    if command[-1].startswith("resume="):
        record = here / kind / "run.json"
        values = json.loads(record.read_text())
        record.write_text(json.dumps({**values, "status": "interrupted"}))
    if attack != "hollow":  # which begins as the file did
        path.unlink()
    ANYWHERE[attack](path)
    done = attempt(command, here, before=shop.shorten(command))
    within_limits(done, (0, 1, 2, UNSUPPORTED))


@pytest.mark.parametrize("kind", TINY)
def test_a_file_of_a_run_that_is_a_trap_is_answered_at_once(
    kind: str, shop: Any, tmp_path: Path
) -> None:
    """Every file with one of the traps, under one of the commands that open it."""
    traps, opening = list(ANYWHERE), commands(kind)
    for i, file in enumerate(files_of(shop.sound / kind)):
        opened(shop, tmp_path / str(i), kind, file, traps[i % len(traps)],
               opening[i % len(opening)])  # fmt: skip


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"clean_accuracy": "x"}'])
def test_results_of_another_kind_are_a_message(content: str, shop: Any, tmp_path: Path) -> None:
    (shop.copy("train", tmp_path) / "results.json").write_text(content)
    for command in commands("train"):
        within_limits(attempt(command, tmp_path, before=shop.shorten(command)), (0, 1, 2, 3))


PACKAGE = Path(lipsort_cli.__file__).parent
READS = re.compile(
    r"\.(read_bytes|read_text|fromfile)\(|(?<!def )\bopen\("
    r"|\b(loadtxt|safe_open|ZipFile|ParquetFile|InferenceSession)\(|\b(np|torch|onnx)\.load\("
)
GUARDED = {
    "files.py", "verifier/tensors.py",  # what stands behind all others
    # Behind files.readable, files.require_file or a test of its own; tried below.
    "data/delimited.py", "data/pictures.py", "data/rowfile.py", "data/tables.py",
    "data/downloaded.py", "zoo/generators.py", "training/checkpoint.py", "identity.py",
    "metrics.py", "verification/datasets.py",
    # Files that the package itself holds or has just written, of the system, or the user's shell.
    "config/tree.py", "config/catalog.py", "data/digits.py", "gan/figures.py", "reports/html.py",
    "versions.py", "reproduction/worker.py", "cli/complete.py",
    "console.py", "cli/plain.py", "commands/doctor.py", "config/plugins.py",
    "reproduction/record.py", "imports/run.py", "imports/model.py", "commands/export.py",
}  # fmt: skip
"""Modules that open files to read them: all others do so by way of these."""


def test_every_module_that_opens_files_is_known() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if READS.search(path.read_text())
    }
    assert found == GUARDED


@pytest.mark.slow
@pytest.mark.parametrize("attack", ANYWHERE)
@pytest.mark.parametrize("kind", TINY)
def test_every_file_of_a_run_with_every_trap_under_every_command(
    kind: str, attack: str, shop: Any, tmp_path: Path
) -> None:
    for i, file in enumerate(files_of(shop.sound / kind)):
        for j, command in enumerate(commands(kind)):
            opened(shop, tmp_path / f"{i}-{j}", kind, file, attack, command)


# --- data ---------------------------------------------------------------------------------------


def header(shape: str, kind: str = "<f8") -> bytes:
    """Of a .npy file."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


LIES = {
    "rows": header("(1000000000000, 2)"),
    "columns": header("(2, 1000000000000)"),
    "by columns": header("(1000000, 1000000)").replace(b"False", b"True "),
    "negative": header("(-1, 2)"),
    "nothing each": header("(1000000000000, 2)", "|V0"),
    "nothing a row": header("(1000000000000, 0)"),
    "axes": header("(" + "1," * 40 + ")"),
    "objects": header("(3,)", "|O"),
    "levels": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
}
"""Arrays that state what is not there."""


def bomb(path: Path, members: tuple[str, ...] = ("p",), rows: int = 40_000_000) -> None:
    """An archive whose bytes unpack to a thousand times as many."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name in members:
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(header(f"({rows},)"))
                for _ in range(8 * rows // 2**20):
                    member.write(bytes(2**20))


def lying_archive(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            file.writestr(f"{name}.npy", content)


def png(path: Path, width: int, height: int, bits: int = 8) -> None:
    """A black picture: a thousandth of its pixels' bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 + width * bits // 8)) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", packed + packer.flush()) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def colours(path: Path, side: int) -> None:
    """A large picture whose colours are transparent."""
    from PIL import Image

    Image.new("RGBA", (side, side), (9, 9, 9, 99)).save(path, compress_level=1)


def tiff(path: Path) -> None:
    """A header that promises four gigapixels."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "TIFF", compression="tiff_lzw")
    path.write_bytes(stream.getvalue().replace(struct.pack("<H", 8), struct.pack("<H", 65535)))


def film(path: Path) -> None:
    """A GIF of two hundred thousand frames."""
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    start = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
    path.write_bytes(start + frame * 200_000 + b"\x3b")


def parquet(path: Path) -> None:
    """Two constant columns of twenty million rows."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
    zeros = pa.table({"x": np.zeros(5_000_000), "y": np.zeros(5_000_000)}, schema)
    with pq.ParquetWriter(path, schema) as file:
        for _ in range(4):
            file.write_table(zeros)


ARCHIVE = ("x_train", "y_train", "x_test", "y_test")
NPZ = ["train", *TINY["train"][2:], "data=npz", "data.path=t.npz"]
DATA: dict[str, Callable[[Path], Any]] = {
    **{f"npy, {n}": lambda p, c=c: (p / "t.npy").write_bytes(c) for n, c in LIES.items()},
    "npz, bomb": lambda p: bomb(p / "t.npz"),
    **{f"npz, {n}": lambda p, c=c: lying_archive(p / "t.npz", c) for n, c in LIES.items()},
    "set, bomb": lambda p: bomb(p / "t.npz", ARCHIVE, 10_000_000),
    "csv, one line": lambda p: sparse(p / "t.csv", 2**40, b"x,y\n1,2\n3,4\n"),
    "csv, columns": lambda p: (p / "t.csv").write_bytes(b"1," * 4_000_000 + b"1\n"),
    "csv, quoted": lambda p: (p / "t.csv").write_bytes(b'x,y\n1,"' + b"2\n" * 4_000_000),
    "parquet, constant": lambda p: parquet(p / "t.parquet"),
    "png, wide": lambda p: png(p / "0.png", 2**31 - 1, 1),
    "png, large": lambda p: png(p / "0.png", 13_000, 13_000),
    "png, scaled": lambda p: png(p / "0.png", 8_190, 8_190, 16),
    "png, blended": lambda p: colours(p / "0.png", 4_090),
    "tiff, large": lambda p: tiff(p / "0.tif"),
    "gif, frames": lambda p: film(p / "0.gif"),
}  # fmt: skip


def lines(name: str) -> list[list[str]]:
    """Every command line that reads such data."""
    kind = name.partition(",")[0]
    if kind in ("png", "tiff", "gif"):
        return [[*TINY_FILES, "distribution.p=t", "distribution.q=t"],
                ["train", *TINY["train"][2:], "data=folder", "data.path=t"],
                ["train", *TINY["train"][2:], "data=folder", "data.path=t", "data.size=8",
                 "data.background=white"]]  # fmt: skip
    found = []
    if kind != "set":
        file = f"t.{kind}"
        one = f"{file}:p" if name == "npz, bomb" else f"{file}:x_train" if kind == "npz" else file
        found += [[*TINY_FILES, f"distribution.p={one}", "distribution.q=p.npy"],
                  [*TINY_FILES, "distribution.p=p.npy", "distribution.q=p.npy",
                   f"distribution.p_weights={one}"]]  # fmt: skip
        found += [["predict", "train", one]]
    if kind in ("set", "npz"):
        found += [NPZ, ["verify", "train/certificate.json", "--data", "t.npz"]]
    if kind in ("csv", "parquet"):
        found += [["train", *TINY["train"][2:], "data=table", f"data.path=t.{kind}",
                   "data.label=y"]]  # fmt: skip
    return found


@pytest.mark.parametrize("name", DATA)
def test_data_that_are_a_trap_are_answered_at_once(name: str, shop: Any, tmp_path: Path) -> None:
    shop.copy("p.npy", tmp_path)
    shop.copy("train", tmp_path)
    folder = tmp_path / "t"
    folder.mkdir()
    DATA[name](folder)
    for path in folder.iterdir():
        if path.name.startswith("t."):
            path.rename(tmp_path / path.name)
    for line in lines(name):
        done = attempt(line, tmp_path, before=shop.shorten(line))
        within_limits(done, (2,))
        assert "t" in done.err + done.out
