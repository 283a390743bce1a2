"""Every field of a certificate, every file beside it and malicious files: all turned down."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsort_cli.verification import verify
from lipsort_cli.verifier.__main__ import main
from lipsort_cli.verifier.format import content_digest


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything that is no object or list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str) and value.startswith(("0x", "-0x")):
        return (float.fromhex(value) * 1.25 + 2.0**-20).hex()
    if isinstance(value, str) and len(value) == 64:
        return ("0" if value[0] != "0" else "1") + value[1:]
    if isinstance(value, str):
        return value + "x"
    return [1] if value == [] else 0


def put(certificate: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with one leaf replaced."""
    result = copy.deepcopy(certificate)
    node = result
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return result


def write(folder: Path, certificate: Any, *, sign: bool) -> None:
    if sign:
        certificate["digest"] = content_digest(certificate)
    (folder / "certificate.json").write_text(json.dumps(certificate))


def every_field(folder: Path) -> None:
    certificate = json.loads((folder / "certificate.json").read_text())
    assert verify(folder).status == "VALID"
    paths = list(leaves(certificate))
    assert len(paths) > 30
    for path in paths:
        value = certificate
        for key in path:
            value = value[key]
        write(folder, put(certificate, path, changed(value)), sign=False)
        assert verify(folder).status == "INVALID", path


def test_every_field_changed_is_invalid(issued: Path) -> None:
    every_field(issued)


def test_every_field_of_a_wasserstein_certificate_changed_is_invalid(issued_w1: Path) -> None:
    every_field(issued_w1)


def signed_field(folder: Path, harmless: set[str]) -> None:
    """An adversary recomputes the digest as well: what is still accepted is true all the same."""
    certificate = json.loads((folder / "certificate.json").read_text())
    for path in leaves(certificate):
        if path == ("digest",):
            continue
        value = certificate
        for key in path:
            value = value[key]
        write(folder, put(certificate, path, changed(value)), sign=True)
        verdict = verify(folder)
        if str(path[0]) == "data" and path[-1] in harmless:
            continue
        if path[0] == "points" and path[1] == "index":
            continue  # positions in a data set that only --data can check
        if path[-1] == "eps" and verdict.status == "VALID":
            continue  # another radius with the same count: true as well, see the count below
        assert verdict.status != "VALID", (path, verdict)


def test_signed_false_claims_are_turned_down(issued: Path) -> None:
    signed_field(issued, {"source"})


def test_signed_false_wasserstein_claims_are_turned_down(issued_w1: Path) -> None:
    signed_field(issued_w1, {"source"})


def test_missing_and_unknown_fields(issued: Path) -> None:
    certificate = json.loads((issued / "certificate.json").read_text())
    for key in certificate:
        if key == "digest":
            continue
        smaller = {name: item for name, item in certificate.items() if name != key}
        write(issued, smaller, sign=True)
        assert verify(issued).status in ("INVALID", "UNSUPPORTED"), key
    write(issued, {**certificate, "extra": 1}, sign=True)
    verdict = verify(issued)
    assert (verdict.status, verdict.field) == ("INVALID", "'extra'")
    write(issued, {**certificate, "version": 3}, sign=True)
    assert verify(issued).status == "UNSUPPORTED"
    write(issued, {**certificate, "version": 1}, sign=True)
    verdict = verify(issued)
    assert (verdict.status, verdict.field) == ("UNSUPPORTED", "version")
    assert "lipsort certify RUN replace=true" in verdict.reason
    write(issued, {**certificate, "version": 3}, sign=False)
    assert verify(issued).status == "INVALID"


@pytest.mark.parametrize("name", ["model.safetensors", "certificate-data.safetensors"])
def test_bits_of_weights_and_data(issued: Path, name: str) -> None:
    path = issued / name
    original = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.choice(len(original) * 8, 60, replace=False).tolist():
        flipped = bytearray(original)
        flipped[position // 8] ^= 1 << (position % 8)
        path.write_bytes(bytes(flipped))
        assert verify(issued).status == "INVALID", position
    path.write_bytes(original[:-3])
    assert verify(issued).status == "INVALID"
    path.unlink()
    assert verify(issued).status == "INVALID"


def test_bits_of_weights_with_recomputed_file_digests(issued: Path) -> None:
    """Whoever changes weights and every digest still has to prove the bounds."""
    from lipsort_cli.verifier.graph import parse_network
    from lipsort_cli.verifier.strictjson import sha256

    certificate = json.loads((issued / "certificate.json").read_text())
    path = issued / "model.safetensors"
    contents = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(contents[:8], "little")
    weights = np.frombuffer(bytes(contents[start:]), dtype="<f4").copy()
    weights *= 1.5
    path.write_bytes(bytes(contents[:start]) + weights.tobytes())
    network = parse_network(path.read_bytes())
    certificate["network"]["file_sha256"] = sha256(path.read_bytes())
    certificate["network"]["weights_sha256"] = network.weights_digest()
    write(issued, certificate, sign=True)
    verdict = verify(issued)
    assert verdict.status == "INVALID" and verdict.field.startswith("routes[0].layers[")


def test_bits_of_the_certificate(issued: Path) -> None:
    path = issued / "certificate.json"
    original = path.read_bytes()
    rng = np.random.default_rng(1)
    for position in rng.choice(len(original) * 8, 150, replace=False).tolist():
        flipped = bytearray(original)
        flipped[position // 8] ^= 1 << (position % 8)
        path.write_bytes(bytes(flipped))
        assert verify(issued).status == "INVALID", position


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda text: b"",
    "not json": lambda text: b"{",
    "not utf-8": lambda text: b"\xff\xfe" + text,
    "duplicate key": lambda text: text.replace(b'"version"', b'"version": 2, "version"', 1),
    "nan": lambda text: text.replace(b'"version": 2', b'"version": NaN', 1),
    "infinity": lambda text: text.replace(b'"version": 2', b'"version": -Infinity', 1),
    "1e400": lambda text: text.replace(b'"version": 2', b'"version": 2e400', 1),
    "huge integer": lambda text: text.replace(b'"version": 2', b'"version": ' + b"9" * 9999, 1),
    "deep nesting": lambda text: b"[" * 200_000,
    "list": lambda text: b"[]",
    "number": lambda text: b"7",
    "null": lambda text: b"null",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(issued: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = issued / "certificate.json"
    path.write_bytes(HOSTILE[name](path.read_bytes()))
    assert verify(issued).status in ("INVALID", "UNSUPPORTED")
    assert main([str(path)]) in (1, 3)
    assert capsys.readouterr().out.startswith(("INVALID", "UNSUPPORTED"))


@pytest.mark.parametrize(
    "value",
    ["../model.safetensors", "/etc/passwd", "a/b", "", ".", "..", "x" * 300, 7, None, "a\x00b"],
)
def test_files_elsewhere_are_never_read(issued: Path, value: Any) -> None:
    certificate = json.loads((issued / "certificate.json").read_text())
    write(issued, put(certificate, ("network", "file"), value), sign=True)
    verdict = verify(issued)
    assert (verdict.status, verdict.field) == ("INVALID", "network.file")


@pytest.mark.parametrize(
    "value",
    ["inf", "nan", "0x1p+5000", "1.5", "0X1.8P+0", "-0x1.0000000000000p+0", 1.5, None, True],
)
def test_radii_that_are_no_numbers(issued: Path, value: Any) -> None:
    certificate = json.loads((issued / "certificate.json").read_text())
    write(issued, put(certificate, ("points", "radius", 3), value), sign=True)
    verdict = verify(issued)
    assert (verdict.status, verdict.field) == ("INVALID", "points.radius[3]")


def test_columns_of_different_length(issued: Path) -> None:
    certificate = json.loads((issued / "certificate.json").read_text())
    for name in certificate["points"]:
        write(
            issued,
            put(certificate, ("points", name), certificate["points"][name][:-1]),
            sign=True,
        )
        assert verify(issued).status == "INVALID"


def test_pickles_are_never_opened(issued: Path) -> None:
    """A file that would run code when unpickled is refused by its first bytes."""
    original = (issued / "model.safetensors").read_bytes()
    (issued / "model.safetensors").write_bytes(b"\x80\x04cposix\nsystem\n(S'exit 9'\ntR.")
    assert verify(issued).status == "INVALID"
    (issued / "model.safetensors").write_bytes(original)
    (issued / "evil.npz").write_bytes(b"\x80\x04cposix\nsystem\n(S'exit 9'\ntR.")
    assert verify(issued, data=issued / "evil.npz").status == "MISUSED"


def test_weaker_claims_remain_valid(issued: Path) -> None:
    """A smaller radius is a weaker claim, and true: consistent counts make it VALID."""
    certificate = json.loads((issued / "certificate.json").read_text())
    radius = [float.fromhex(text) for text in certificate["points"]["radius"]]
    weaker = [(value * 0.999).hex() for value in radius]
    (issued / "points.csv").unlink()
    for entry in certificate["summary"]["certified_at"]:
        eps = float.fromhex(entry["eps"])
        entry["count"] = sum(float.fromhex(text) >= eps for text in weaker)
    write(issued, put(certificate, ("points", "radius"), weaker), sign=True)
    assert verify(issued).status == "VALID"
    assert verify(issued, exact=True).status == "VALID"


def test_exact_agrees(issued: Path) -> None:
    verdict = verify(issued, exact=True)
    assert verdict.status == "VALID", verdict
    assert "exact" in verdict.lines[-1]


def test_exact_agrees_on_wasserstein(issued_w1: Path) -> None:
    verdict = verify(issued_w1, exact=True)
    assert verdict.status == "VALID", verdict
