"""Damage to the files of runs and data: one of many ways, drawn at random."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VALUES: list[Any] = [None, True, -1, 0, 1, 1e308, float("nan"), float("inf"), "", "x" * 2000, [],
                     {}, 10**30, -(10**30), "\x1b[2J", -1e-320, [[[]]], "finished", 2**63, "NaN",
                     [None], {"a": 1}, 0.5, "../..", "\ud800"]  # fmt: skip


def damage(r: random.Random, path: Path) -> str:
    """Damage a file in one of many ways; what was done, in words."""
    own = {".json": _json, ".yaml": _yaml, ".pt": _checkpoint, ".npy": _npy, ".npz": _npz,
           ".safetensors": _safetensors, ".jsonl": _jsonl}.get(path.suffix)  # fmt: skip
    way = own if own is not None and r.random() < 0.6 else r.choice([_bytes, _bytes, _place])
    return f"{path.name}: {way(r, path)}"


def _bytes(r: random.Random, path: Path) -> str:
    content = path.read_bytes()
    at = r.randrange(len(content) + 1)
    junk = bytes(r.randrange(256) for _ in range(r.randint(1, 16)))
    ways: dict[str, bytes] = {
        "empty": b"", f"cut at {at}": content[:at], f"without {at} bytes": content[at:],
        f"{junk!r} at {at}": content[:at] + junk + content[at + len(junk):],
        f"{junk!r} inserted at {at}": content[:at] + junk + content[at:],
        "zeros": bytes(len(content)), "twice": content * 2, "noise": r.randbytes(500),
        "100,000 levels": b"[" * 100_000 + b"]" * 100_000, "null byte": b"\0",
        "not UTF-8": b"\xff\xfe\xfd" + content, "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "a zip": b"PK\x03\x04" + r.randbytes(200), "one line": b"x" * 1_000_000,
    }  # fmt: skip
    name = r.choice(list(ways))
    path.write_bytes(ways[name])
    return name


def _place(r: random.Random, path: Path) -> str:
    path.unlink()
    name = r.choice(["missing", "a folder", "a pipe", "a loop", "endless", "huge"])
    if name == "a folder":
        path.mkdir()
    elif name == "a pipe":
        os.mkfifo(path)
    elif name == "a loop":
        path.symlink_to(path)
    elif name == "endless":
        path.symlink_to("/dev/zero")
    elif name == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
    return name


def _mutated(r: random.Random, value: Any, values: Sequence[Any]) -> tuple[Any, str]:
    """``value`` with one node, at any depth, removed or replaced."""
    if isinstance(value, dict) and value and r.random() < 0.9:
        key = r.choice(list(value))
        if r.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}, f"{key} removed"
        new, story = _mutated(r, value[key], values)
        return {**value, key: new}, f"{key}.{story}"
    if isinstance(value, list) and value and r.random() < 0.8:
        at = r.randrange(len(value))
        new, story = _mutated(r, value[at], values)
        return [*value[:at], new, *value[at + 1 :]], f"{at}.{story}"
    new = r.choice(values)
    return new, f"= {str(new)[:60]!r}"


def _json(r: random.Random, path: Path) -> str:
    value, story = _mutated(r, json.loads(path.read_text()), VALUES)
    path.write_text(json.dumps(value), encoding="utf-8", errors="surrogatepass")
    return story


def _jsonl(r: random.Random, path: Path) -> str:
    lines = path.read_text().splitlines()
    at = r.randrange(len(lines))
    value, story = _mutated(r, json.loads(lines[at]), VALUES)
    lines[at] = json.dumps(value)
    path.write_text("\n".join(lines))
    return story


def _yaml(r: random.Random, path: Path) -> str:
    import yaml

    if r.random() < 0.1:
        bomb = "a0: &a0 [x,x]\n"
        bomb += "".join(f"a{i + 1}: &a{i + 1} [*a{i},*a{i},*a{i}]\n" for i in range(30))
        path.write_text(bomb)
        return "aliases"
    value, story = _mutated(r, yaml.safe_load(path.read_text()), [*VALUES, "${a", "???"])
    path.write_text(yaml.safe_dump(value), encoding="utf-8", errors="surrogatepass")
    return story


def _checkpoint(r: random.Random, path: Path) -> str:
    import torch

    from lipsort_cli.training.checkpoint import load_checkpoint, save_checkpoint

    state = load_checkpoint(path.parents[1])
    some = [
        torch.zeros(0),
        torch.full((3,), torch.nan),
        torch.zeros(2, 2, dtype=torch.long),
        torch.zeros(5000, dtype=torch.uint8),
        torch.tensor(1.0),
        torch.zeros(1, dtype=torch.bool),
    ]
    value, story = _mutated(r, state, [*VALUES, *some])
    save_checkpoint(path.parents[1], value)
    return story


def _npy(r: random.Random, path: Path) -> str:
    path.write_bytes(_array(r)[1])
    return "another array"


def _array(r: random.Random) -> tuple[str, bytes]:
    """An array that is unusual, or whose header lies."""
    import numpy as np

    stream = io.BytesIO()
    if r.random() < 0.5:
        kind = r.choice(["f2", "f8", "c16", "M8[s]", "U5", "i8", "u1", "?", "f4", ">f8", "S3"])
        shape = r.choice([(), (0,), (3,), (0, 2), (3, 0), (30, 2), (2, 2, 2), (1, 1, 1, 1, 1, 2)])
        values = np.zeros(shape) if r.random() < 0.5 else np.full(shape, r.choice([np.nan, 1e308]))
        with np.errstate(all="ignore"):
            np.save(stream, values.astype(kind))
        return kind, stream.getvalue()
    shape = r.choice(["(10**12,)", "(1000000000000, 2)", "(-1, 2)", "(2,", "('a',)", "(30, 2)"])
    kind = r.choice(["<f8", "|O", "<f4", "nonsense", "[('a', '<f8')]"])
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * r.randint(0, 5) + b"\n"
    size = r.choice([len(header), 65535, 0])
    return "lie", b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + header + r.randbytes(480)


def _npz(r: random.Random, path: Path) -> str:
    import zipfile

    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = r.choice(list(members))
    story = r.choice(["bomb", "array", "array", "bytes", "removed", "renamed"])
    if story == "bomb":
        members[name] = b"\x93NUMPY\x01\x00\x46\x00" + (
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (250000000,), }".ljust(69) + b"\n"
        )
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            for key, content in members.items():
                with file.open(key, "w") as member:
                    member.write(content)
                    for _ in range(200 if key == name else 0):
                        member.write(bytes(2**20))
        return "bomb"
    content = members.pop(name)
    if story == "array":
        members[name] = _array(r)[1]
    elif story == "bytes":
        members[name] = content[: r.randrange(len(content))] + r.randbytes(5)
    elif story == "renamed":
        members[r.choice(["../x.npy", "a.npy", "x_train", "\x1b.npy"])] = content
    with zipfile.ZipFile(path, "w") as file:
        for key, content in members.items():
            file.writestr(key, content)
    return f"{name} {story}"


def _safetensors(r: random.Random, path: Path) -> str:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, story = _mutated(r, json.loads(content[8 : 8 + size]), VALUES)
    text = json.dumps(header).encode()
    length = r.choice([len(text)] * 4 + [0, 2**40, 2**63])
    path.write_bytes(length.to_bytes(8, "little") + text + content[8 + size :])
    return f"{story}, header of {length} bytes"
