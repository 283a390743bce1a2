"""Forged certificates: whatever is changed and signed again, no false claim is VALID."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import adapter
import numpy as np
import pytest
from forgery import (
    CERTIFICATE,
    Place,
    Raw,
    at,
    containers,
    file_digest,
    framed,
    leaves,
    load,
    pack,
    put,
    signed,
    store,
    unpack,
    variants,
)
from honest import issue_classifier, issue_critic

ROOM = 1 + 2.0**-30
"""An issuer claims this much less than it proves, for other machines' sums: that much is proven."""
NETWORK, DATA = "model.safetensors", "certificate-data.safetensors"


@pytest.fixture(params=["classification", "wasserstein"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make = issue_classifier if request.param == "classification" else issue_critic
    assert adapter.verify(make(tmp_path)) == "VALID"
    return tmp_path


def harmless(honest: Any, place: Place, value: Any) -> bool:
    """Whether a change leaves a claim that is as true as the honest one.

    Words nobody proves, positions in a data set that only --data can check, a weaker number, or
    the same number spelled otherwise.
    """
    old, key = at(honest, place), place[-1]
    if place == ("data", "source") or place[:2] == ("points", "index"):
        return True
    if value == old or place == ("digest",):
        return True
    new = _number(value)
    if new is None or _number(old) is None:
        return False
    if key == "eps":
        # The same count at another radius is another true sentence.
        radii = [float.fromhex(text) for text in honest["points"]["radius"]]
        return new > 0 and sum(radius >= new for radius in radii) == at(honest, place[:-1])["count"]
    if place[:2] == ("points", "radius") or key == "value":
        return new <= float.fromhex(old) * ROOM
    # Which witness proves a bound is a hint: what it proves is derived anew.
    larger = new * ROOM >= float.fromhex(old)
    return key == "witness" or (key in ("bound", "body", "network") and larger)


def _number(value: Any) -> float | None:
    try:
        return float.fromhex(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def check(folder: Path, honest: Any, place: Place, value: Any, found: Counter[str]) -> None:
    store(folder, put(honest, place, value))
    status = adapter.verify(folder)
    found[status] += 1
    assert status != "VALID" or harmless(honest, place, value), (place, value)


@pytest.mark.parametrize("share", [0.15, pytest.param(1.0, marks=pytest.mark.slow)])
def test_every_leaf_replaced_by_strange_values(folder: Path, share: float) -> None:
    honest = load(folder)
    places = [place for place in leaves(honest) if place != ("digest",)]
    rng = np.random.default_rng(0)
    found: Counter[str] = Counter()
    for place in places:
        others = [at(honest, places[k]) for k in rng.choice(len(places), 4)]
        for value in variants(at(honest, place), tuple(others)):
            if rng.random() < share:
                check(folder, honest, place, value, found)
    assert found["INVALID"] + found["UNSUPPORTED"] > 2000 * share
    store(folder, honest)
    assert adapter.verify(folder) == "VALID"


def test_every_container_emptied_repeated_or_replaced(folder: Path) -> None:
    honest = load(folder)
    found: Counter[str] = Counter()
    for place in containers(honest):
        old = at(honest, place)
        changes: list[Any] = [None, [], {}, "x", 0, [old], {"a": old}]
        if isinstance(old, list) and old:
            changes += [old[:-1], old[1:], old + old[-1:], old[::-1], old * 2]
        if isinstance(old, dict):
            for key in old:
                changes.append({name: item for name, item in old.items() if name != key})
                changes.append({**old, key + " ": old[key]})
                twice = Raw(_twice(old, key))
                changes.append(twice)
        for value in changes:
            if value == old or (place == ("points", "index") and isinstance(value, list)):
                continue
            if place == () and isinstance(value, dict) and "digest" not in value:
                continue  # signing again puts it back
            store(folder, put(honest, place, value))
            status = adapter.verify(folder)
            found[status] += 1
            assert status != "VALID" or _same_claims(place, value, old), (place, value)
    assert found["INVALID"] + found["UNSUPPORTED"] > 100


def _twice(old: dict[str, Any], key: str) -> str:
    text = signed([old]).decode()[1:-1]
    again = signed([{key: old[key]}]).decode()[2:-2]
    return text[:-1] + "," + again + "}"


def _same_claims(place: Place, value: Any, old: Any) -> bool:
    """A list that reads the same backwards, or fewer radii stated: nothing false is said."""
    if place == ("summary", "certified_at") and isinstance(value, list):
        return all(entry in old for entry in value)
    return value == old


def test_two_leaves_at_once(tmp_path: Path) -> None:
    """Counts and words made to agree with radii that are not proven."""
    honest = load(issue_classifier(tmp_path))
    radii = honest["points"]["radius"]
    for row, text in enumerate(radii):
        forged = copy.deepcopy(honest)
        larger = max(float.fromhex(text), 1e-6) * (1 + 2.0**-30)
        forged["points"]["radius"][row] = larger.hex()
        values = [float.fromhex(item) for item in forged["points"]["radius"]]
        forged["summary"]["certified"] = sum(value > 0 for value in values)
        for entry in forged["summary"]["certified_at"]:
            entry["count"] = sum(value >= float.fromhex(entry["eps"]) for value in values)
        before = f"for {honest['summary']['certified']} of"
        forged["statement"] = honest["statement"].replace(
            before, f"for {forged['summary']['certified']} of"
        )
        store(tmp_path, forged)
        assert adapter.verify(tmp_path) == "INVALID", row


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("arithmetic", ["real", "binary64"])
def test_a_claim_moved_to_another_norm_or_arithmetic(
    tmp_path: Path, norm: str, arithmetic: str
) -> None:
    """Radii proven in a finer arithmetic, said of a coarser one, with the coarser one's words."""
    fine = load(issue_classifier(tmp_path, norm, arithmetic))
    coarse = load(issue_classifier(tmp_path, norm, "binary32"))
    coarse["points"]["radius"] = fine["points"]["radius"]
    store(tmp_path, coarse)
    assert adapter.verify(tmp_path) == "INVALID"
    if norm == "l2":  # a cube of that half-side is no part of the ball
        other = load(issue_classifier(tmp_path, "linf", "binary32"))
        other["points"]["radius"] = fine["points"]["radius"]
        store(tmp_path, other)
        assert adapter.verify(tmp_path) == "INVALID"


def _replaced(folder: Path, name: str, contents: bytes) -> str:
    """The verdict after a file was replaced and every digest of files was brought up to date."""
    certificate = load(folder)
    kept = (folder / name).read_bytes()
    (folder / name).write_bytes(contents)
    for part in ("network", "data"):
        if certificate[part].get("file") == name:
            certificate[part]["file_sha256"] = file_digest(folder / name)
    store(folder, certificate)
    status = adapter.verify(folder)
    (folder / name).write_bytes(kept)
    return status


def lies(contents: bytes) -> dict[str, bytes]:
    """Files that say one thing in the header and hold another."""
    header, body = unpack(contents)
    names = [name for name in header if name != "__metadata__"]
    first = names[0]
    entry = header[first]

    def with_entry(**change: Any) -> bytes:
        return framed(_json({**header, first: {**entry, **change}}), body)

    start, stop = entry["data_offsets"]
    described = {"__metadata__": {}, **header}
    return {
        "trailing bytes": contents + b"\0" * 8,
        "a byte missing": contents[:-1],
        "header too long": framed(_json(header), body, len(contents)),
        "header longer than any file": framed(_json(header), body, (1 << 64) - 1),
        "header cut": framed(_json(header), body, 10),
        "no header": framed(b"", body),
        "header a list": framed(b"[]", body),
        "first tensor twice": framed(_twice(header, first).encode(), body),
        "metadata twice": framed(_twice(described, "__metadata__").encode(), body),
        "a tensor more": framed(_json({**header, "more": entry}), body),
        "an empty tensor more": framed(
            _json({**header, "more": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}), body
        ),
        "offsets moved": with_entry(data_offsets=[start + 4, stop + 4]),
        "offsets turned": with_entry(data_offsets=[stop, start]),
        "offsets negative": with_entry(data_offsets=[-4, stop]),
        "offsets beyond": with_entry(data_offsets=[start, 1 << 62]),
        "shape product beyond": with_entry(shape=[1 << 32, 1 << 32]),
        "shape negative": with_entry(shape=[-1, -1]),
        "shape of floats": with_entry(shape=[float(size) for size in entry["shape"]]),
        "shape with a one more": with_entry(shape=[1, *entry["shape"]]),
        "shape turned": with_entry(shape=entry["shape"][::-1] or [7]),
        "dtype F16": with_entry(dtype="F16"),
        "dtype BF16": with_entry(dtype="BF16"),
        "dtype I32": with_entry(dtype="I32"),
        "dtype of lower case": with_entry(dtype=entry["dtype"].lower()),
        "dtype null": with_entry(dtype=None),
        "a field more": with_entry(extra=1),
        "spaces before": framed(b" " + _json(header)[:-1] + b" }", body),
    }


def unpack_safely(contents: bytes) -> Any:
    try:
        return unpack(contents)
    except (ValueError, AttributeError):
        return None


def _json(value: Any) -> bytes:
    return signed([value])[1:-1]


SAME_CONTENTS = {"spaces before"}


@pytest.mark.parametrize("name", [NETWORK, DATA])
def test_headers_that_lie(folder: Path, name: str) -> None:
    contents = (folder / name).read_bytes()
    for kind, lie in lies(contents).items():
        if lie == contents or unpack_safely(lie) == unpack(contents):
            continue
        status = _replaced(folder, name, lie)
        assert status != "VALID" or kind in SAME_CONTENTS, kind


def test_numbers_of_the_network_replaced(folder: Path) -> None:
    """Weights made NaN, infinite, huge, negative zero: every digest of a file is right again."""
    header, body = unpack((folder / NETWORK).read_bytes())
    rng = np.random.default_rng(1)
    numbers = np.frombuffer(body, dtype="<f4")
    for value in (np.nan, np.inf, -np.inf, 3e38, 1e-45, -0.0, 1e30):
        for place in rng.choice(len(numbers), 4, replace=False):
            changed = numbers.copy()
            if changed[place] == value:
                continue
            changed[place] = value
            status = _replaced(folder, NETWORK, framed(_json(header), changed.tobytes()))
            assert status != "VALID", (value, place)


def test_numbers_of_the_data_replaced(tmp_path: Path) -> None:
    """Points and labels that are not those of the certificate, in a well-formed file."""
    for make in (issue_classifier, issue_critic):
        make(tmp_path)
        header, body = unpack((tmp_path / DATA).read_bytes())
        tensors = {
            name: np.frombuffer(
                body[slice(*entry["data_offsets"])],
                dtype={"F32": "<f4", "F64": "<f8", "U8": "|u1", "I64": "<i8"}[entry["dtype"]],
            ).reshape(entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
        for name, array in tensors.items():
            for change in (array[::-1], array + 1, array * 2, array[:1], array[:0], array[None]):
                if change.shape == array.shape and (change == array).all():
                    continue
                forged = pack({**tensors, name: change.astype(array.dtype)})
                assert _replaced(tmp_path, DATA, forged) != "VALID", (name, change.shape)
            other = array.astype(np.float64 if array.dtype != np.float64 else np.float32)
            assert _replaced(tmp_path, DATA, pack({**tensors, name: other})) != "VALID"
        assert _replaced(tmp_path, DATA, pack({**tensors, "more": np.zeros(1)})) != "VALID"


def test_bits_of_every_file(folder: Path) -> None:
    rng = np.random.default_rng(2)
    for name in (CERTIFICATE, NETWORK, DATA):
        contents = (folder / name).read_bytes()
        for place in rng.choice(8 * len(contents), 60, replace=False).tolist():
            flipped = bytearray(contents)
            flipped[place // 8] ^= 1 << place % 8
            if name == CERTIFICATE:
                (folder / name).write_bytes(bytes(flipped))
                assert adapter.verify(folder) != "VALID"
                (folder / name).write_bytes(contents)
            else:
                assert _replaced(folder, name, bytes(flipped)) != "VALID", (name, place)


def test_a_table_that_says_otherwise(tmp_path: Path) -> None:
    """points.csv is for people: where it lies beside the certificate it must say the same."""
    table = issue_classifier(tmp_path) / "points.csv"
    lines = table.read_text().splitlines()
    honest = [line.split(",") for line in lines]
    forged: list[str] = ["", lines[0], "\n".join(lines[:-1]), "\n".join(lines + lines[-1:])]
    for row in range(len(honest)):
        for column in range(len(honest[0])):
            for text in ("7", "0.9", "nan", "", "-0.0", honest[row][column] + "1"):
                other = copy.deepcopy(honest)
                other[row][column] = text
                if other != honest:
                    forged.append("\n".join(map(",".join, other)))
    for text in forged:
        table.write_text(text + "\n")
        assert adapter.verify(tmp_path) != "VALID", text
    table.unlink()
    assert adapter.verify(tmp_path) == "VALID"


def test_other_data_given_with_the_option(tmp_path: Path) -> None:
    """A data set without the certificate's points, whatever its shape and type."""
    issue_classifier(tmp_path)
    path = tmp_path / "other.npz"
    rng = np.random.default_rng(4)
    for shape, kind in (
        ((6, 1, 3, 2), np.float32),
        ((6, 6), np.float32),
        ((2, 1, 3, 2), np.float64),
        ((0, 1, 3, 2), np.float32),
        ((60, 1, 3, 2), np.uint8),
        ((6,), np.float32),
        ((), np.float64),
    ):
        x = (rng.random(shape) * 255).astype(kind)
        for labels in (np.zeros(shape[:1], dtype=np.int64), np.full(shape[:1], -1), np.array(2.5)):
            np.savez(path, x_test=x, y_test=labels)
            assert adapter.verify(tmp_path, data=path) != "VALID", (shape, kind)
    np.savez(path, x_train=np.zeros((6, 1, 3, 2)))
    assert adapter.verify(tmp_path, data=path) != "VALID"
