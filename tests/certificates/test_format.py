"""The format as documented: schema and field table say what the verifier reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificate_networks import mlp, network, save
from hypothesis import given
from hypothesis import strategies as st

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.files import MOST_POINTS
from lipsort_cli.certificates.points import evaluate
from lipsort_cli.certificates.w1 import issue_w1_certificate
from lipsort_cli.errors import UsageError
from lipsort_cli.verification import verify
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.strictjson import (
    LARGEST_TEXT,
    MOST_LISTS,
    MOST_VALUES,
    parse,
    parse_hex,
)

DOCS = Path(__file__).parents[2] / "docs"


def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((DOCS / "certificate.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_certificates_fit_the_schema(issued: Path) -> None:
    certificate = json.loads((issued / "certificate.json").read_text())
    check = validator()
    check.validate(certificate)
    for key in certificate:
        smaller = {name: item for name, item in certificate.items() if name != key}
        assert not check.is_valid(smaller), key
    assert not check.is_valid({**certificate, "extra": 1})


def test_wasserstein_certificates_fit_the_schema(issued_w1: Path) -> None:
    validator().validate(json.loads((issued_w1 / "certificate.json").read_text()))


def test_every_field_is_documented(issued: Path, issued_w1: Path) -> None:
    text = (DOCS / "certificates.md").read_text()

    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for item in value.values() for name in names(item)}
        return (
            {name for item in value for name in names(item)} if isinstance(value, list) else set()
        )

    for folder in (issued, issued_w1):
        for name in names(json.loads((folder / "certificate.json").read_text())):
            assert name in text, f"docs/certificates.md does not mention {name}"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive(value: float) -> None:
    assert parse_hex(value.hex(), "x") == value


@pytest.mark.parametrize("text", ["0x1p+0", "0x1.8p+0", "-0x1.0p-1", "0x0.0p+0"])
def test_short_numbers_are_read(text: str) -> None:
    assert parse_hex(text, "x") == float.fromhex(text)


@pytest.mark.parametrize("text", ["1.0", "0x", "0x2.0p+0", "0x1.8p0", "0x1.8", "inf", " 0x1p+0", 1])
def test_other_spellings_are_refused(text: Any) -> None:
    with pytest.raises(Invalid):
        parse_hex(text, "x")


def test_the_verifier_needs_nothing_else_of_the_package(issued: Path) -> None:
    """Neither torch nor other rooms are imported; python-flint only for --exact."""
    code = (
        "import sys\n"
        "from lipsort_cli.verifier.__main__ import main\n"
        f"code = main([{str(issued)!r}])\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'torch', 'flint', 'hydra', 'scipy', 'matplotlib'}, loaded\n"
        "rooms = {n for n in sys.modules if n.startswith('lipsort_cli.')}\n"
        "assert all(n.startswith('lipsort_cli.verifier') for n in rooms), rooms\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VALID\nProven: for 11 of 12 points")


def test_external_data(tmp_path: Path) -> None:
    """The stored copy can be left out when the data set itself is at hand."""
    net = mlp(3)
    rng = np.random.default_rng(5)
    inputs = rng.random((30, 1, 3, 4), dtype=np.float32)
    labels = evaluate(net, inputs, "real").logits.argmax(axis=1)
    path = save(net, tmp_path / "model.safetensors")
    index = np.array([3, 17, 4])
    issue_certificate(tmp_path, path, inputs[index], labels[index], index=index)
    np.savez(tmp_path / "data.npz", x_test=inputs, y_test=labels)
    (tmp_path / "certificate-data.safetensors").unlink()
    assert verify(tmp_path).status == "INVALID"
    assert verify(tmp_path, data=tmp_path / "data.npz").status == "VALID"
    np.savez(tmp_path / "data.npz", x_test=inputs[::-1], y_test=labels)
    verdict = verify(tmp_path, data=tmp_path / "data.npz")
    assert (verdict.status, verdict.exit_code, verdict.field) == ("MISUSED", 2, "--data")
    assert "of shape [3, 1, 3, 4], are not those certified" in verdict.reason
    np.savez(tmp_path / "data.npz", x_test=inputs[:5], y_test=labels[:5])
    verdict = verify(tmp_path, data=tmp_path / "data.npz")
    assert verdict.status == "MISUSED" and "beyond the 5 that" in verdict.reason
    np.savez(tmp_path / "data.npz", other=inputs)
    assert verify(tmp_path, data=tmp_path / "data.npz").status == "MISUSED"
    # Pictures of a network that took them flat.
    layer = {"op": "dense", "weight": np.eye(4, 12, dtype=np.float32), "bias": np.zeros(4)}
    save(network([layer], [12], 4), path)
    flat = inputs[index].reshape(len(index), -1)
    issue_certificate(tmp_path, path, flat, labels[index], index=index)
    np.savez(tmp_path / "data.npz", x_test=inputs, y_test=labels)
    assert verify(tmp_path, data=tmp_path / "data.npz").status == "VALID"


def test_idx_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (9, 3, 4)).astype(np.uint8)
    labels = rng.integers(0, 4, 9).astype(np.uint8)
    header = b"\x00\x00\x08\x03" + b"".join(int(n).to_bytes(4, "big") for n in images.shape)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(header + images.tobytes())
    counts = b"\x00\x00\x08\x01" + (9).to_bytes(4, "big")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(counts + labels.tobytes())
    path = save(mlp(3), tmp_path / "model.safetensors")
    inputs = images[:, None].astype(np.float32) / np.float32(255)
    issue_certificate(tmp_path, path, inputs, labels)
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    assert certificate["data"]["encoding"] == "uint8/255"
    assert verify(tmp_path).status == "VALID"
    assert verify(tmp_path, data=tmp_path).status == "VALID"
    assert verify(tmp_path, data=tmp_path / "t10k-images-idx3-ubyte").status == "VALID"
    for damaged, said in (
        (header + images.tobytes()[:-1], "truncated"),
        (b"", "holds 0 bytes"),
        (b"\x00\x00\x08", "no IDX"),
        (b"\x00\x00\x08\xff" + b"\x01" * 99, "no IDX"),
        (b"junk" * 999, "no IDX"),
        (b"\x00\x00\x09\x00" + b"\x01" * 1999, "no IDX"),
    ):
        (tmp_path / "t10k-images-idx3-ubyte").write_bytes(damaged)
        found = verify(tmp_path, data=tmp_path)
        assert found.status == "MISUSED"
        assert said in found.reason.replace("is not an IDX", "no IDX")


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
def test_wasserstein_bounds_stay_below_exact_transport(tmp_path: Path, norm: str) -> None:
    """Against the assignment problem, and exactly for a translation along a linear critic."""
    from certificate_networks import network
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((25, 6)), rng.standard_normal((25, 6)) + 0.7
    metric = {"l2": "euclidean", "linf": "chebyshev", "l1": "cityblock"}[norm]
    costs = cdist(x, y, metric)
    truth = costs[linear_sum_assignment(costs)].mean()
    weight = np.ones((1, 6)) / 6 if norm == "linf" else np.ones((1, 6))
    critic = network([{"op": "dense", "weight": weight}], [6], 1)
    path = save(critic, tmp_path / "critic.safetensors")
    found = issue_w1_certificate(tmp_path, path, x, y, norm=norm)
    assert 0.3 * truth < found.value < truth
    assert verify(tmp_path, exact=True).status == "VALID"
    t = np.array([0.5, 0, 0, 0, 0, 0])
    line = network([{"op": "dense", "weight": [[1, 0, 0, 0, 0, 0]]}], [6], 1)
    path = save(line, tmp_path / "line.safetensors")
    exact = issue_w1_certificate(tmp_path, path, x, x + t, norm=norm).value
    assert 0.5 * (1 - 1e-8) < exact <= 0.5 * (1 + 1e-12)
    same = issue_w1_certificate(tmp_path, path, x, x[::-1].copy(), norm=norm)
    assert same.value < 1e-12
    assert verify(tmp_path).status == "VALID"


def test_wasserstein_weights(tmp_path: Path) -> None:
    """A sample listed twice weighs as much as one of weight two."""
    from certificate_networks import network

    line = network([{"op": "dense", "weight": [[1.0]]}], [1], 1)
    path = save(line, tmp_path / "line.safetensors")
    x, y = np.array([[0.0], [0.0], [3.0]]), np.array([[5.0]])
    twice = issue_w1_certificate(tmp_path, path, x, y).value
    weighted = issue_w1_certificate(
        tmp_path, path, x[1:], y, x_weights=[2.0, 1.0], y_weights=[7]
    ).value
    assert abs(twice - 4) < 1e-6 and abs(weighted - 4) < 1e-6
    for bad in ([-1.0, 2.0], [np.nan, 1.0], [0.0, 0.0], [1.0], [1e300, 1.0]):
        with pytest.raises(UsageError):
            issue_w1_certificate(tmp_path, path, x[1:], y, x_weights=bad)
    with pytest.raises(UsageError, match="NaN"):
        issue_w1_certificate(tmp_path, path, np.array([[np.nan]]), y)
    with pytest.raises(UsageError, match="at least one"):
        issue_w1_certificate(tmp_path, path, np.zeros((0, 1)), y)


def test_what_a_certificate_may_hold_is_read() -> None:
    columns = [[f"0x1.{i:013x}p-3" for i in range(50_000)], list(range(50_000)), [[]] * 1_000]
    assert parse(json.dumps(columns), "x") == columns
    assert MOST_LISTS > 100_000


def test_more_points_than_a_certificate_holds_are_refused_before_they_are_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsort_cli.certificates.files.LARGEST_FILE", 1000)
    inputs = np.random.default_rng(0).normal(size=(50, 1, 3, 4)).astype(np.float32)
    for classes in (4, 1):
        path = save(mlp(widths=(12, 16, classes)), tmp_path / "model.safetensors")
        # Labels or the other sample, and a header.
        size = 2400 + (400 if classes == 4 else 2400) + 1024
        with pytest.raises(UsageError, match=rf"found 50, {size:,} bytes of them.*points=") as kept:
            if classes == 4:
                issue_certificate(tmp_path, path, inputs)
            else:
                issue_w1_certificate(tmp_path, path, inputs, inputs)
        assert f"points={50 * 1000 // size}" in str(kept.value)
    monkeypatch.undo()
    monkeypatch.setattr("lipsort_cli.certificates.files.MOST_POINTS", 49)
    path = save(mlp(), tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="points: found 50; allowed: at most 49"):
        issue_certificate(tmp_path, path, inputs)
    assert not (tmp_path / "certificate.json").exists()


def test_as_many_points_as_are_issued_are_read() -> None:
    """Every column has a comma a point; SHA-256, radius and five more numbers are the text."""
    assert 7 * MOST_POINTS < MOST_VALUES
    assert 200 * MOST_POINTS < LARGEST_TEXT
