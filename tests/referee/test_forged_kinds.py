"""Forgeries by kind: how a claim can be made to say more, spelled and signed anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adapter
import numpy as np
import pytest
from edges import CHAINS, EYE, TWO, loses, matrix
from forgery import (
    CERTIFICATE,
    Raw,
    array_digest,
    file_digest,
    framed,
    load,
    pack,
    put,
    signed,
    store,
    unpack,
)
from honest import issue_classifier, issue_critic
from networks import Drawing
from trials import build

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.search import find_route
from lipsort_cli.certificates.w1 import issue_w1_certificate
from lipsort_cli.errors import LipsortError
from lipsort_cli.verifier.exact import Exact
from lipsort_cli.verifier.w1 import Claim

Change = Callable[[Path, Any], Any]
"""Changes files and certificate; returns the file's bytes where signing is not enough."""
NETWORK, DATA = "model.safetensors", "certificate-data.safetensors"


def fields(**changes: Any) -> Change:
    """Fields ``a__b`` of the certificate."""

    def change(_: Path, certificate: Any) -> None:
        for name, value in changes.items():
            *parents, key = name.split("__")
            entry = certificate
            for parent in parents:
                entry = entry[parent]
            entry[key] = value(entry[key]) if callable(value) else value

    return change


def proofs(op: str, **changes: Any) -> Change:
    """What is claimed of layers ``op``, in every route."""

    def change(_: Path, certificate: Any) -> None:
        for route in certificate["routes"]:
            for entry in route["layers"]:
                if entry["op"] == op:
                    entry.update(changes)

    return change


def header(name: str, edit: Callable[[dict[str, Any]], None], after: bytes = b"") -> Change:
    """The header of a tensor file, with the digest that it has then."""

    def change(folder: Path, certificate: Any) -> None:
        content, body = unpack((folder / name).read_bytes())
        edit(content)
        (folder / name).write_bytes(framed(json.dumps(content).encode() + after, body))
        part = "network" if name == NETWORK else "data"
        certificate[part]["file_sha256"] = file_digest(folder / name)

    return change


def graph(edit: Callable[[dict[str, Any]], None]) -> Change:
    def change(content: dict[str, Any]) -> None:
        value = json.loads(content["__metadata__"]["lipsort_graph"])
        edit(value)
        content["__metadata__"]["lipsort_graph"] = json.dumps(value)

    return header(NETWORK, change)


def text(old: bytes, new: bytes) -> Change:
    def change(_: Path, certificate: Any) -> bytes:
        contents = signed(certificate)
        assert contents.count(old) >= 1
        return contents.replace(old, new, 1)

    return change


def layer(place: int, **changes: Any) -> Change:
    return graph(lambda value: value["layers"][place].update(changes))


def renamed(norm: str, words: str) -> Change:
    said = fields(claim__norm=norm, statement=lambda old: old.replace("L2", words))
    return said


def shape_of(name: str, edit: Callable[[list[int]], list[int]], kind: str = "") -> Change:
    def change(content: dict[str, Any]) -> None:
        content[name]["shape"] = edit(content[name]["shape"])
        content[name]["dtype"] = kind or content[name]["dtype"]

    return header(DATA, change)


NO = "0x0.0p+0"
FALSE: dict[str, Change] = {
    "another route": fields(points__route=lambda old: [len(old)] * len(old)),
    "a claim renamed to L-infinity": renamed("linf", "L-infinity"),
    "an arithmetic renamed": fields(claim__arithmetic="real"),
    "an open ball": fields(claim__ball="open"),
    "a version of another type": fields(version=2.0),
    "a version with an exponent": text(b'"version": 2', b'"version": 2e0'),
    "two documents": lambda _, c: signed(c) + b"\n{}",
    "a byte order mark": lambda _, c: b"\xef\xbb\xbf" + signed(c),
    "a key twice, once by an escape": text(b'"points": {', b'"po\\u0069nts": {}, "points": {'),
    "a radius of zero that counts": fields(
        summary__certified_at=lambda _: [{"eps": NO, "count": 6}]
    ),
    "a radius below zero that counts": fields(
        summary__certified_at=lambda _: [{"eps": "-0x1.0p-3", "count": 6}]
    ),
    "a label that is no integer": fields(points__label=lambda old: [float(old[0]), *old[1:]]),
    "labels with one more axis": shape_of("labels", lambda shape: [1, *shape]),
    "inputs as another type": shape_of("inputs", lambda shape: [*shape[:-1], 1], "F64"),
    "inputs turned": shape_of("inputs", lambda shape: [*shape[:2], *shape[:1:-1]]),
    "NULs after a header": header(DATA, lambda _: None, b"\0" * 7),
    "a smaller factor": layer(6, factor=(0.375).hex()),
    "another padding": layer(1, padding_mode="circular"),
    "an operation in capitals": layer(2, op="Groupsort"),
    "a size as a float": layer(2, group_size=2.0),
    "a size that is true": layer(2, group_size=True),
    "a deviation below zero": layer(0, std=["-0x1.0p-2"]),
    "no deviation": layer(0, std=[NO]),
    "a graph's version that is true": graph(lambda value: value.update(version=True)),
    "a graph's version as a float": graph(lambda value: value.update(version=1.0)),
    "a mean for a channel there is not": layer(0, mean=["0x1.0p-1"] * 2),
    "a matrix said to be zero": proofs("dense", method="zero", witness=NO, bound=NO),
    "the sums of another norm": proofs(
        "dense", method="largest absolute row sum", witness=NO, bound="0x1.0p-3"
    ),
    "the proof of another operation": proofs(
        "dense", method="1-Lipschitz", witness=NO, bound="0x1.0p+0"
    ),
    "norms that do not change": proofs("dense", method="norms of rows or columns", witness=NO),
    "the largest witness": proofs("dense", witness=float(np.finfo(np.float64).max).hex()),
    "the smallest witness": proofs(
        "convolution", method="frequencies", witness=(5e-324).hex(), bound=(2.0**-30).hex()
    ),
    "a witness where none is": proofs("groupsort", witness="0x1.0p+0"),
    "no parts": proofs("concatenate", parts=[]),
    "a route twice": fields(routes=lambda old: old * 2),
    "a network elsewhere": fields(network__file="../model.safetensors"),
    "a certificate for a network": fields(network__file=CERTIFICATE),
    "a newline in a name": fields(network__file=f"{NETWORK}\n"),
    "a number spelled with an exponent": fields(lipschitz__network=Raw("1e1")),
}
TRUE: dict[str, Change] = {
    "a key by an escape": text(b'"norm"', b'"no\\u0072m"'),
    "spaces after a header": header(DATA, lambda _: None, b" " * 8),
    "a number with more zeros": layer(0, std=["0x1.00p-2"]),
    "a count at another radius": fields(
        summary=lambda old: {
            **old,
            "certified_at": [{"eps": (2.0**-1000).hex(), "count": old["certified"]}],
        }
    ),
}


def attempt(folder: Path, change: Change) -> str:
    certificate = load(folder)
    contents = change(folder, certificate)
    if isinstance(contents, bytes):
        (folder / CERTIFICATE).write_bytes(contents)
    else:
        store(folder, put(certificate, (), certificate))
    return adapter.verify(folder)


@pytest.mark.parametrize("kind", FALSE)
def test_what_is_false_is_not_valid(kind: str, tmp_path: Path) -> None:
    assert attempt(issue_classifier(tmp_path), FALSE[kind]) in ("INVALID", "UNSUPPORTED")


@pytest.mark.parametrize("kind", TRUE)
def test_the_same_said_otherwise_is_valid(kind: str, tmp_path: Path) -> None:
    assert attempt(issue_classifier(tmp_path), TRUE[kind]) == "VALID"


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_no_input_without_a_number_is_predicted(number: float, tmp_path: Path) -> None:
    """All digests are right, and nothing is claimed of the point but its prediction."""
    certificate = load(issue_classifier(tmp_path))
    content, body = unpack((tmp_path / DATA).read_bytes())
    levels, labels = (
        np.frombuffer(body[slice(*content[name]["data_offsets"])], kind).reshape(
            content[name]["shape"]
        )
        for name, kind in (("inputs", "|u1"), ("labels", "<i8"))
    )
    inputs = levels.astype(np.float32) / np.float32(255)
    inputs[0] = number
    (tmp_path / DATA).write_bytes(pack({"inputs": inputs, "labels": labels}))
    certificate["data"] |= {
        "encoding": "float32",
        "file_sha256": file_digest(tmp_path / DATA),
        "inputs_sha256": array_digest(inputs),
    }
    certificate["points"]["input_sha256"][0] = hashlib.sha256(inputs[0].tobytes()).hexdigest()
    for prediction in range(3):
        certificate["points"]["prediction"][0] = prediction
        store(tmp_path, certificate)
        assert adapter.verdict(tmp_path)[:2] == ("INVALID", "data")
    with pytest.raises(LipsortError, match="NaN or infinity"):
        issue_certificate(tmp_path, tmp_path / NETWORK, inputs, labels)


@pytest.mark.parametrize("arithmetic", ["real", "binary64"])
def test_where_a_label_is_proven_no_other_is_predicted(arithmetic: str, tmp_path: Path) -> None:
    """Leads of a few units in the last place: where a ball is proven, no other class is open."""
    network = build(Drawing(TWO, [matrix(EYE)], "plain"))
    path = adapter.save(network, tmp_path / NETWORK)
    proven = 0
    for units in range(1, 16):
        x = np.array([[1.0, 1 - units * 2.0**-52]])
        issue_certificate(tmp_path, path, x, [0], arithmetic=arithmetic)
        (tmp_path / "points.csv").unlink()
        certificate = load(tmp_path)
        certificate["points"]["prediction"] = [1]
        certificate["summary"]["correct"] = 0
        certificate["statement"] = certificate["statement"].replace("(1 of them", "(0 of them")
        store(tmp_path, certificate)
        if adapter.radii(network, x, np.array([0]), "l2", arithmetic)[0] > 0:
            proven += 1
            assert adapter.verdict(tmp_path)[:2] == ("INVALID", "points.prediction[0]")
    assert proven


@pytest.mark.parametrize(
    "change",
    [
        fields(claim__value=lambda old: (float.fromhex(old) * (1 + 1e-9)).hex()),
        renamed("linf", "L-infinity"),
        lambda _, c: c.update(x=c["y"], y=c["x"]),
        fields(y__weights_sha256=None),
        proofs("extension", method="ranks"),
    ],
)
def test_a_false_distance_is_not_valid(change: Change, tmp_path: Path) -> None:
    assert attempt(issue_critic(tmp_path), change) in ("INVALID", "UNSUPPORTED")


@pytest.mark.parametrize("bias", [0.0, 3.0])
def test_a_constant_critic_proves_nothing(bias: float, tmp_path: Path) -> None:
    network = build(Drawing((1,), [matrix([[0.0]], [bias])], "plain"))
    path = adapter.save(network, tmp_path / "model.safetensors")
    x, y = np.ones((3, 1), dtype=np.float32), np.zeros((2, 1), dtype=np.float32)
    assert issue_w1_certificate(tmp_path, path, x, y).value == 0.0
    for value in (5e-324, 1e-300, 1.0):
        certificate = load(tmp_path)
        certificate["claim"]["value"] = value.hex()
        store(tmp_path, certificate)
        for exact in (False, True):
            status, field, _ = adapter.verdict(tmp_path, exact=exact)
            assert (status, field) == ("INVALID", "claim.value")
    tensors, routes = {"x": x, "y": y}, [find_route(network, "l2")]
    assert Claim(tensors, routes, "l2", 1.0).judge(network, None, Exact(96))[0] < 1


@pytest.mark.parametrize("norm", adapter.NORMS)
@pytest.mark.parametrize("kind", CHAINS)
def test_no_point_of_the_ball_loses_its_label(kind: str, norm: str) -> None:
    assert loses(kind, norm) is None
