"""Hostile files of up to 10 MB: each is answered at once, and none is VALID."""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adapter
import numpy as np
import pytest
from definitions import Node
from drawing import DRAWINGS, Pen
from forgery import (
    CERTIFICATE,
    Place,
    array_digest,
    at,
    file_digest,
    framed,
    load,
    pack,
    put,
    store,
    unpack,
)
from honest import issue_classifier, issue_critic
from networks import Drawing
from trials import build

from lipsort_cli.certificates.classification import issue_certificate

SIZE = 10_000_000
SECONDS = 5.0
"""Of one core, which other processes may hold back, that any file of ``SIZE`` bytes may take."""
REFUSALS = ("INVALID", "UNSUPPORTED", "MISUSED")

Text = Callable[[], bytes]


def repeated(unit: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """``unit`` over and over, in all about ``SIZE`` bytes."""
    count = (SIZE - len(before) - len(after)) // len(unit)
    return before + unit * count + after


def keys(count: int, twice: bool) -> bytes:
    """An object of many keys, the first one again at the end."""
    names = [f'"k{number}":0' for number in range(count)]
    return ("{" + ",".join([*names, *(names[:1] if twice else [])]) + "}").encode()


def colliding(count: int) -> bytes:
    """Keys of equal length and beginning."""
    return ("{" + ",".join(f'"{"k" * 60}{number:07}":0' for number in range(count)) + "}").encode()


TEXTS: dict[str, Text] = {
    "brackets opened": lambda: repeated(b"["),
    "braces opened": lambda: repeated(b'{"a":'),
    "brackets opened and closed": lambda: b"[" * (SIZE // 2) + b"]" * (SIZE // 2),
    "empty lists": lambda: repeated(b"[],", b"[", b"[]]"),
    "empty objects": lambda: repeated(b"{},", b"[", b"{}]"),
    "lists of lists": lambda: repeated(b"[[[[]]]],", b"[", b"0]"),
    "zeros": lambda: repeated(b"0,", b"[", b"0]"),
    "a number of ten million digits": lambda: repeated(b"9", b"[", b"]"),
    "a fraction of ten million digits": lambda: repeated(b"9", b"[0.", b"]"),
    "numbers out of range": lambda: repeated(b"1e400,", b"[", b"0]"),
    "long numbers": lambda: repeated(b"9" * 4000 + b",", b"[", b"0]"),
    "an exponent of ten million digits": lambda: repeated(b"9", b"[1e", b"]"),
    "strings": lambda: repeated(b'"",', b"[", b"0]"),
    "escapes": lambda: repeated(b"\\u0000", b'["', b'"]'),
    "half a surrogate": lambda: repeated(b"\\ud800", b'["', b'"]'),
    "one string": lambda: repeated(b"a", b'"', b'"'),
    "a string without end": lambda: repeated(b"a", b'"'),
    "backslashes": lambda: repeated(b"\\", b'"'),
    "spaces": lambda: repeated(b" "),
    "NaN": lambda: repeated(b"NaN,", b"[", b"0]"),
    "keys": lambda: keys(700_000, False),
    "a key again after 700,000": lambda: keys(700_000, True),
    "long equal keys": lambda: colliding(130_000),
    "one key over and over": lambda: repeated(b'"a":0,', b"{", b'"a":0}'),
    "objects with a key twice": lambda: repeated(b'{"a":0,"a":0},', b"[", b"0]"),
    "not UTF-8": lambda: repeated(b"\xff"),
    "UTF-16": lambda: ("[" + "0," * (SIZE // 4 - 4) + "0]").encode("utf-16"),
}


def timed(folder: Path, **options: Any) -> str:
    began = time.process_time()
    status = adapter.verify(folder, **options)
    seconds = time.process_time() - began
    assert seconds < SECONDS, f"{seconds:.1f} s"
    return status


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue_classifier(tmp_path_factory.mktemp("honest"))


@pytest.fixture
def folder(honest: Path, tmp_path: Path) -> Path:
    for path in honest.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("kind", TEXTS)
def test_certificates_of_ten_megabytes(folder: Path, kind: str) -> None:
    """As the whole file, and as one field of a certificate that is honest otherwise."""
    text = TEXTS[kind]()
    assert len(text) <= SIZE + 2
    (folder / CERTIFICATE).write_bytes(text)
    assert timed(folder) in REFUSALS


@pytest.mark.parametrize("kind", TEXTS)
def test_headers_of_ten_megabytes(folder: Path, kind: str) -> None:
    """As the header of the network's file, whose digest the certificate was given."""
    replace(folder, framed(TEXTS[kind](), b""))
    assert timed(folder) in REFUSALS


def replace(folder: Path, contents: bytes, name: str = "model.safetensors") -> None:
    """Another network or data file, of which the certificate states the digest."""
    (folder / name).write_bytes(contents)
    certificate = load(folder)
    for part in ("network", "data"):
        if certificate[part].get("file") == name:
            certificate[part]["file_sha256"] = file_digest(folder / name)
    store(folder, certificate)


@pytest.mark.parametrize("size", [SIZE // 8, pytest.param(SIZE, marks=pytest.mark.slow)])
def test_fields_of_an_honest_certificate_made_long(folder: Path, size: int) -> None:
    """Lists and words of an honest certificate, repeated until it is as large."""
    certificate = load(folder)
    long = "0x1." + "0" * (size - 20_000) + "p+0"
    changes: list[tuple[Place, Any]] = [
        (("statement",), "a" * size),
        (("points", "radius"), [long] + ["0x0.0p+0"] * 5),
        ((), {**certificate, **{str(number): 0 for number in range(size // 17)}}),
    ]
    for place in (
        ("routes",),
        ("routes", 0, "layers"),
        ("points", "index"),
        ("points", "radius"),
        ("summary", "certified_at"),
        ("assumptions",),
    ):
        value = at(certificate, place)
        changes.append((place, value * (size // len(json.dumps(value)))))
    for place, value in changes:
        store(folder, put(certificate, place, value))
        # To state a true count again and again is tedious, and true.
        repeated_truth = place == ("summary", "certified_at")
        assert timed(folder) in (*REFUSALS, *(["VALID"] * repeated_truth)), place


def kernel(op: str = "transposed_convolution", **changes: int) -> dict[str, Any]:
    entry = {"op": op, "weight": "layers.0.weight", "bias": None, "stride": 1, "padding": 0}
    entry |= {"dilation": 1, "groups": 1, **changes}
    return {**entry, "padding_mode": "zeros"} if op == "convolution" else entry


def branches(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [{"op": "concatenate", "branches": [inner] * 30}]
    return inner


def graphs() -> dict[str, list[dict[str, Any]]]:
    """Chains of layers that are long, deep or wide."""
    deep: dict[str, Any] = {"op": "abs"}
    for _ in range(7):
        deep = {"op": "concatenate", "branches": [[deep], [deep]]}
    deeper: dict[str, Any] = {"op": "abs"}
    for _ in range(400):
        deeper = {"op": "residual", "skip": "0x0p+0", "branch": "0x1p+0", "layers": [deeper]}
    wide = {"op": "concatenate", "branches": [[] for _ in range(1000)]}
    half = (0.5).hex()
    image = {"op": "depth_to_space", "block": 1}
    return {
        "100,000 layers": [{"op": "abs"}] * 100_000,
        "9,000 layers": [{"op": "abs"}] * 9000,
        "9,000 scales": [{"op": "scale", "factor": half}] * 9000,
        "deep branches": [deep, deep],
        "deeper blocks": [deeper],
        "branches upon branches": [wide, wide, wide],
        "a layer without end": [{"op": "flatten", "x": "a" * 5_000_000}],
        "an image from nothing": [image] * 3000,
        "unknown names": [{"op": f"op{number}"} for number in range(9000)],
        "branches of branches": branches(3),
        "many branches of branches": [{"op": "concatenate", "branches": [branches(1)] * 30}],
        "a name of a million letters": [{"op": "x" * 1_000_000}],
        "names of files": [{"op": "../../errors"}, {"op": "__init__"}, {"op": "_groups"}],
    }


@pytest.mark.parametrize("kind", graphs())
def test_graphs_without_end(folder: Path, kind: str) -> None:
    graph = {**adapter.HEADER, "input_shape": [1, 3, 2], "classes": 6, "layers": graphs()[kind]}
    replace(folder, pack({}, {"lipsort_graph": json.dumps(graph)}))
    assert timed(folder) in REFUSALS


def test_shapes_that_promise_more_than_there_is(folder: Path) -> None:
    huge = 1 << 30
    small, large = np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1400, 1400))
    flatten, conv = {"op": "flatten"}, kernel("convolution")
    for shape, layers, weight in (
        ([huge, huge, huge], [flatten], None),
        ([1 << 20, 1 << 20], [flatten], None),
        ([1] * 100_000, [flatten], None),
        ([1 << 27], [flatten], None),
        ([1 << 20], [{"op": "abs"}] * 9_000, None),
        ([1, 3, 2], [{**conv, "padding": 8000}, flatten], small),
        ([1, 3, 2], [{**conv, "padding": huge}, flatten], small),
        ([1, 3, 2], [{**conv, "padding": (1 << 31) - 1}, flatten], small),
        ([1, 3, 2], [kernel(stride=huge), flatten], small),
        ([1, 2800, 2800], [conv, flatten], large),
        ([1, 3, 2], [{"op": "average_pool", "kernel": 1, "stride": huge}, flatten], None),
    ):
        tensors = {} if weight is None else {"layers.0.weight": weight.astype(np.float32)}
        graph = {**adapter.HEADER, "input_shape": shape, "classes": 6, "layers": layers}
        replace(folder, pack(tensors, {"lipsort_graph": json.dumps(graph)}))
        assert timed(folder) in REFUSALS, (shape[:3], layers[:1])


def test_many_tensors(folder: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"t{number}": entry for number in range(140_000)}).encode()
    for name in ("model.safetensors", "certificate-data.safetensors"):
        replace(folder, framed(header[: SIZE - 1] + b"}" * (len(header) >= SIZE), b""), name)
        assert timed(folder) in REFUSALS


def test_numbers_that_never_were(folder: Path) -> None:
    """A network of ten megabytes, the largest that a header may promise, and one of a lie."""
    header, body = unpack((folder / "model.safetensors").read_bytes())
    name = next(key for key in header if key != "__metadata__")
    for shape in ([1 << 31, 1 << 31, 1 << 31], [2**63], [0, 1 << 62], [1] * 5000, [10**200]):
        lie = {**header, name: {**header[name], "shape": shape}}
        replace(folder, framed(json.dumps(lie).encode(), body))
        assert timed(folder) in REFUSALS


def test_data_that_unpack_to_gigabytes(folder: Path) -> None:
    """Zip and gzip bombs given with --data."""
    npz, idx = folder / "bomb.npz", folder / "t10k-images-idx3-ubyte.gz"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x_test", "y_test"):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)}
            )
            archive.writestr(f"{name}.npy", header.getvalue() + bytes(1 << 27))
    npz.write_bytes(stream.getvalue())
    idx.write_bytes(gzip.compress(b"\0\0\x08\x03" + bytes(1 << 27), 6))
    for path in (npz, idx):
        assert path.stat().st_size <= SIZE
        assert timed(folder, data=path) in REFUSALS


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors", ".bin"])
@pytest.mark.parametrize("unit", [b"\0", b"\xff", b"\x3a\xff\xff\xff\x04", b"\x0a\x00"])
def test_deployed_networks_of_ten_megabytes(folder: Path, suffix: str, unit: bytes) -> None:
    path = folder / f"deployed{suffix}"
    path.write_bytes(repeated(unit))
    assert timed(folder, network=path) in REFUSALS


def test_one_point_again_and_again(folder: Path) -> None:
    """A place in a data set is three bytes, and what lies there may be thousands."""
    path = folder / "data.npz"
    np.savez(path, x_test=np.zeros((2, 1, 300, 200)), y_test=np.zeros(2, dtype=int))
    certificate = load(folder)
    certificate["points"]["index"] = [0] * 2_000
    store(folder, certificate)
    status, field, _ = adapter.verdict(folder, data=path)
    assert (status, field) == ("INVALID", "points.index")


def test_samples_without_end(tmp_path: Path) -> None:
    """A million samples where the certificate speaks of five."""
    issue_critic(tmp_path)
    x = np.zeros((800_000, 3), dtype=np.float32)
    weights = np.ones(4)
    y = np.zeros((4, 3))
    tensors = {"x": x, "y": y, "y_weights": weights}
    replace(tmp_path, pack(tensors), "certificate-data.safetensors")
    assert timed(tmp_path) in REFUSALS


BY_HAND = ("residual", "sum", "concatenate", "transposed_convolution")


def heavy(op: str) -> Drawing:
    """From one number to a large state, a layer of the operation over it, then two classes."""
    rng = np.random.default_rng(5)
    one, wide = np.ones((4, 1, 1, 1), dtype=np.float32), np.ones((700, 1), dtype=np.float32)
    fields = {"stride": 1, "padding": 24, "dilation": 1, "groups": 1, "padding_mode": "zeros"}
    shape: tuple[int, ...] = (4, 49, 49)
    chain = [Node("convolution", (1, 1, 1), shape, fields, one)]
    if op in ("dense", "distance", "order_statistic", "extension"):
        shape = (700,)
        chain = [Node("flatten", (1, 1, 1), (1,)), Node("dense", (1,), shape, weight=wide)]
    branch = [Node("abs", shape, shape)]
    pen, drawn = Pen(rng, "plain", widest=1200, extreme=False), []
    if op in BY_HAND[:3]:
        out = (12, 49, 49) if op == "concatenate" else shape
        numbers = {"skip": 0.5, "branch": 0.5} if op == "residual" else {}
        branches = [branch] if op == "residual" else [branch, branch, []]
        drawn = [Node(op, shape, out, numbers, branches=branches)]
    if op == "transposed_convolution":
        numbers = {"stride": 3, "padding": 0, "dilation": 1, "groups": 1}
        drawn = [Node(op, shape, (1, 145, 145), numbers, one)]
    while not drawn or (len(drawn) < 8 and op not in BY_HAND):
        node = DRAWINGS[op](pen, shape, 0)
        drawn += [] if node is None else [node]
    chain.append(max(drawn, key=lambda node: node.width + getattr(node.weight, "size", 0)))
    width = chain[-1].width
    head = rng.standard_normal((2, width)).astype(np.float32)
    chain += [Node("flatten", chain[-1].out_shape, (width,)),
              Node("dense", (width,), (2,), weight=head)]  # fmt: skip
    return Drawing((1, 1, 1), chain, "plain")


def multiplied(folder: Path, times: int) -> None:
    """Every point of an honest certificate ``times`` over, and all that is said of them."""
    certificate = load(folder)
    header, body = unpack((folder / "certificate-data.safetensors").read_bytes())
    tensors = {}
    for name, kind in (("inputs", np.float32), ("labels", np.int64)):
        start, stop = header[name]["data_offsets"]
        array = np.frombuffer(body[start:stop], dtype=kind).reshape(header[name]["shape"])
        tensors[name] = np.concatenate([array] * times)
        certificate["data"][f"{name}_sha256"] = array_digest(tensors[name])
    columns = {name: column * times for name, column in certificate["points"].items()}
    count, summary = len(columns["label"]), certificate["summary"]
    certificate["points"] = {**columns, "index": list(range(count))}
    words = [f"for {summary['certified']} of {summary['points']} points ({summary['correct']} of"]
    for name in ("points", "certified", "correct"):
        summary[name] *= times
    words.append(
        f"for {summary['certified']} of {summary['points']} points ({summary['correct']} of"
    )
    certificate["statement"] = certificate["statement"].replace(*words)
    (folder / "points.csv").unlink(missing_ok=True)
    store(folder, certificate)
    replace(folder, pack(tensors), "certificate-data.safetensors")


def issue_heavy(folder: Path, op: str) -> int:
    """A certificate of two points; by how much they may be multiplied within ``SIZE`` bytes."""
    drawing = heavy(op)
    network = build(drawing)
    rng = np.random.default_rng(0)
    x = rng.random((2, *drawing.input_shape)).astype(np.float32)
    path = adapter.save(network, folder / "model.safetensors")
    kind = "real" if op in ("tanh", "sigmoid") else "binary32"
    issue_certificate(folder, path, x, np.zeros(2, dtype=int), arithmetic=kind)
    room = SIZE - path.stat().st_size
    return room // (x.nbytes + 420)


@pytest.mark.parametrize("op", adapter.operations())
def test_much_honest_work_is_counted_before_it_is_done(op: str, tmp_path: Path) -> None:
    """Two megabytes of points, plainly and exactly: verified or turned down, in seconds."""
    times = issue_heavy(tmp_path, op)
    assert timed(tmp_path) == "VALID"
    multiplied(tmp_path, times // 5)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= SIZE
    for exact in (False, True):
        assert timed(tmp_path, exact=exact) in ("VALID", "UNSUPPORTED")


@pytest.mark.slow
@pytest.mark.parametrize("op", adapter.operations())
def test_whatever_work_is_done_is_done_within_seconds(op: str, tmp_path: Path) -> None:
    """Twice the points until that is too much: what is just allowed takes seconds."""
    most = issue_heavy(tmp_path, op)
    for exact in (False, True):
        times = 1
        while timed(tmp_path, exact=exact) == "VALID" and 2 * times <= most:
            multiplied(tmp_path, 2)
            times *= 2
        issue_heavy(tmp_path, op)


def test_more_patience_is_a_matter_of_asking(tmp_path: Path) -> None:
    issue_heavy(tmp_path, "dense")
    status, field, reason = adapter.verdict(tmp_path, patience=1e-6)
    assert (status, field) == ("UNSUPPORTED", "certificate")
    assert "allowed for files of this size are 1e-06 s" in reason and "--patience" in reason
    assert adapter.verify(tmp_path, patience=60.0) == "VALID"
    for strange in (0.0, -1.0, float("nan")):
        assert adapter.verify(tmp_path, patience=strange) == "MISUSED"


def test_classes_without_a_head_are_counted(folder: Path) -> None:
    """As many unit vectors as classes: their square would be 80 GB."""
    certificate = load(folder)
    graph = {**adapter.HEADER, "input_shape": [100_000], "classes": 100_000}
    graph["layers"] = [{"op": "abs"}]
    network = adapter.build(graph, {})
    replace(folder, pack({}, {"lipsort_graph": json.dumps(graph)}))
    certificate = load(folder)
    certificate["network"] |= {
        "graph_sha256": network.graph_digest(),
        "weights_sha256": network.weights_digest(),
    }
    store(folder, certificate)
    status, field, _ = adapter.verdict(folder)
    assert (status, field) == ("UNSUPPORTED", "certificate")
