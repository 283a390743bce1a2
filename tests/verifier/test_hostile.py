"""Files of up to 10 MB that want to hold the verifier up: each is answered within seconds."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors

from lipsort_cli.certificates import issue_certificate
from lipsort_cli.verifier.errors import Refused
from lipsort_cli.verifier.format import content_digest
from lipsort_cli.verifier.graph import parse_network
from lipsort_cli.verifier.strictjson import MOST_LISTS, parse
from lipsort_cli.verifier.verify import verify

sys.path.insert(0, str(Path(__file__).parents[1] / "certificates"))
from certificate_networks import mlp, save

SIZE = 10_000_000
SECONDS = 5.0

TEXTS: dict[str, Callable[[], str]] = {
    "a key twice after a hundred thousand": lambda: (
        "{" + ",".join(f'"{i}":0' for i in range(100_000)) + ',"7":1}'
    ),
    "many keys twice": lambda: "{" + ",".join(f'"{i % 9}":0' for i in range(900_000)) + "}",
    "empty lists": lambda: "[" + "[]," * (SIZE // 3) + "[]]",
    "empty objects": lambda: "[" + "{}," * (SIZE // 3) + "{}]",
    "nested lists": lambda: "[" * SIZE,
    "nested lists that close": lambda: "[" * 900 + "]" * 900,
    "nested objects": lambda: '{"a":' * (SIZE // 5),
    "zeros": lambda: "[" + "0," * (SIZE // 2) + "0]",
    "long number": lambda: "1" * SIZE,
    "long fraction": lambda: "0." + "1" * SIZE,
    "long exponent": lambda: "1e" + "9" * SIZE,
    "one string": lambda: '"' + "a" * SIZE + '"',
    "escapes": lambda: '"' + "\\u0041" * (SIZE // 6) + '"',
    "spaces": lambda: " " * SIZE + "[",
    "surrogates": lambda: '"' + "\\ud800" * (SIZE // 6) + '"',
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(tmp_path: Path, name: str) -> None:
    text = TEXTS[name]()
    (tmp_path / "certificate.json").write_text(text)
    began = time.process_time()
    assert verify(tmp_path).status in ("INVALID", "UNSUPPORTED")
    header = text.encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(Refused):
        parse_network((tmp_path / "model.safetensors").read_bytes())
    assert time.process_time() - began < SECONDS


def graph(layers: list[Any], shape: list[int], tensors: dict[str, np.ndarray]) -> bytes:
    content = {"format": "lipsort-graph", "version": 1, "input_shape": shape, "classes": 2}
    text = json.dumps({**content, "layers": layers})
    return save_tensors(tensors or {"x": np.zeros(1)}, metadata={"lipsort_graph": text})


def kernel(**changes: int) -> dict[str, Any]:
    numbers = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **changes}
    return {"op": "transposed_convolution", "weight": "layers.0.weight", "bias": None, **numbers}


def branches(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [{"op": "concatenate", "branches": [inner] * 30}]
    return inner


ONE = {"layers.0.weight": np.ones((1, 1, 1, 1), dtype=np.float32)}
GRAPHS: dict[str, Callable[[], bytes]] = {
    "too many layers": lambda: graph([{"op": "abs"}] * 50_000, [2], {}),
    "many layers over a large state": lambda: graph([{"op": "abs"}] * 9_000, [1 << 20], {}),
    "branches of branches": lambda: graph(branches(3), [2], {}),
    "deep branches": lambda: graph(
        [{"op": "concatenate", "branches": [branches(1)] * 30}], [2], {}
    ),
    "a stride of a billion": lambda: graph([kernel(stride=1 << 30)], [1, 2, 2], ONE),
    "a padding of a billion": lambda: graph(
        [{**kernel(padding=1 << 30), "op": "convolution", "padding_mode": "zeros"}], [1, 2, 2], ONE
    ),
    "a large input": lambda: graph([{"op": "flatten"}], [1 << 20, 1 << 20], {}),
    "many axes": lambda: graph([{"op": "flatten"}], [1] * 100_000, {}),
    "unknown operations": lambda: graph([{"op": "x" * 1_000_000}], [2], {}),
    "a kernel as large as a picture": lambda: graph(
        [{**kernel(), "op": "convolution", "padding_mode": "zeros"}],
        [1, 2800, 2800],
        {"layers.0.weight": np.ones((1, 1, 1400, 1400), dtype=np.float32)},
    ),
    "tensors without a layer": lambda: graph(
        [{"op": "abs"}], [2], {f"t{i}": np.zeros(1, dtype=np.float32) for i in range(60_000)}
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str) -> None:
    contents = GRAPHS[name]()
    assert len(contents) <= SIZE
    began = time.process_time()
    with pytest.raises(Refused):
        parse_network(contents)
    assert time.process_time() - began < SECONDS


def test_a_long_image_has_no_table_of_frequencies(tmp_path: Path) -> None:
    """A row of a million pixels: a proof by frequencies is not tried, whatever a file names."""
    from lipsort_cli.certificates.search import find_bound
    from lipsort_cli.verifier.bounds import prove_chain
    from lipsort_cli.verifier.errors import Unsupported
    from lipsort_cli.verifier.layer import LayerBound
    from lipsort_cli.verifier.machine import Binary64
    from lipsort_cli.verifier.parsing import Parser

    entry = {**kernel(), "op": "convolution", "padding_mode": "zeros"}
    tensors = {"layers.0.weight": np.ones((1, 1, 1, 2), dtype=np.float32)}
    (layer,) = Parser(tensors, 1).chain([entry], (1, 1, 1_000_000), "layers", "graph")
    began = time.process_time()
    with pytest.raises(Unsupported):
        claim = LayerBound(0, layer.op, 9.0, "frequencies", 4.1)
        prove_chain([layer], [claim], "l2", Binary64())
    assert find_bound(layer, "l2").value >= 2
    assert time.process_time() - began < SECONDS


def test_columns_of_a_certificate(tmp_path: Path) -> None:
    """A hundred thousand points claimed of twelve, the index ever the same, and the like."""
    path = save(mlp(3), tmp_path / "model.safetensors")
    x = np.random.default_rng(0).random((12, 1, 3, 4), dtype=np.float32)
    issue_certificate(tmp_path, path, x, np.zeros(12, dtype=int))
    content = json.loads((tmp_path / "certificate.json").read_text())
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda c: c["points"].update(index=[0] * 500_000),
        lambda c: c["points"].update({key: value * 8_000 for key, value in c["points"].items()}),
        lambda c: c["summary"].update(certified_at=[{"eps": "0x1.0p+0", "count": 1}] * 60_000),
        lambda c: c["routes"].extend(c["routes"] * 100),
        lambda c: c["routes"][0]["layers"][0].update(parts=[[]] * 100_000),
        lambda c: c.update(assumptions=["x" * 9_000] * 900),
        lambda c: c.update(statement="x" * 9_000_000),
    ]
    for change in changes:
        changed = json.loads(json.dumps(content))
        change(changed)
        changed["digest"] = content_digest(changed)
        (tmp_path / "certificate.json").write_text(json.dumps(changed))
        began = time.process_time()
        assert verify(tmp_path).status in ("INVALID", "UNSUPPORTED")
        assert time.process_time() - began < SECONDS


def test_what_a_certificate_may_hold_is_read() -> None:
    columns = [[f"0x1.{i:013x}p-3" for i in range(50_000)], list(range(50_000)), [[]] * 1_000]
    assert parse(json.dumps(columns), "x") == columns
    assert MOST_LISTS > 100_000
