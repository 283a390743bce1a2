"""What a certificate's folder holds besides it: nothing there is lost, or stands for another."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from certificate_networks import mlp, save

import lipsort_cli
from lipsort_cli.certificates.claims import Claim, protect, read_claim
from lipsort_cli.certificates.files import name_beside
from lipsort_cli.certificates.w1 import issue_w1_certificate
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.verifier.format import content_digest

POINTS = np.random.default_rng(0).random((5, 1, 3, 4), dtype=np.float32)
LABELS = np.zeros(5, dtype=np.int64)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def certify(network: Path, folder: Path) -> None:
    lipsort_cli.certify(network, POINTS, LABELS, directory=folder)


def certify_critic(network: Path, folder: Path) -> None:
    issue_w1_certificate(folder, network, POINTS, POINTS + 1)


NAMES = {
    "the certificate": "certificate.json",
    "its table": "points.csv",
    "its samples": "certificate-data.safetensors",
    "a space": "my model.safetensors",
    "a hyphen first": "-x.safetensors",
    "a hidden file": ".hidden.safetensors",
    "another alphabet": "\u00e4.safetensors",
    "a line": "a\nb.safetensors",
    "too long": "a" * 201,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
@pytest.mark.parametrize("issue", [certify, certify_critic])
def test_names_that_a_certificate_could_not_say_are_refused(
    name: str, issue: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    """Its own files would take the network's place, or no verifier would read it."""
    widths = (12, 16, 4 if issue is certify else 1)
    (tmp_path / "here").mkdir()
    network = save(mlp(3, widths), tmp_path / "here" / name)
    before = contents(network.parent)
    with pytest.raises(UsageError, match="network: found .* rename it, or choose another folder"):
        issue(network, network.parent)
    assert contents(network.parent) == before
    issue(network, tmp_path / "elsewhere")
    assert lipsort_cli.verify(tmp_path / "elsewhere").status == "VALID"


def test_another_network_of_one_folder_is_another_claim(tmp_path: Path) -> None:
    first, second = (save(mlp(n), tmp_path / f"{n}.safetensors") for n in (3, 4))
    certify(first, tmp_path)
    certify(first, tmp_path)
    before = contents(tmp_path)
    for other in (second, save(mlp(5), tmp_path.parent / f"{tmp_path.name}.safetensors")):
        with pytest.raises(UsageError, match=r"another claim: network \w{12} .asked: \w{12}."):
            certify(other, tmp_path)
    save(mlp(6), first)
    with pytest.raises(UsageError, match="another claim: network"):
        certify(first, tmp_path)
    assert contents(tmp_path) == before | {first.name: first.read_bytes()}
    lipsort_cli.certify(second, POINTS, LABELS, directory=tmp_path, replace=True)
    assert lipsort_cli.verify(tmp_path).status == "VALID"


def test_a_link_in_the_folder_takes_no_other_networks_place(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    held = save(mlp(4), there / "model.safetensors").read_bytes()
    (there / "link.safetensors").symlink_to(save(mlp(3), tmp_path / "far.safetensors"))
    certify(there / "link.safetensors", there)
    assert (there / "model.safetensors").read_bytes() == held
    assert (there / "link.safetensors").is_symlink()
    assert lipsort_cli.verify(there).status == "VALID"
    assert name_beside(there / "link.safetensors", there) == "link.safetensors"
    assert name_beside(tmp_path / "far.safetensors", there) == ""


def test_fewer_of_a_critics_samples_are_another_claim(tmp_path: Path) -> None:
    """Also where only the second sample is the larger one."""
    network = save(mlp(3, (12, 16, 1)), tmp_path / "model.safetensors")
    issue_w1_certificate(tmp_path, network, POINTS[:3], POINTS + 1)
    protect(tmp_path, network, Claim("w1_lower_bound", "l2", "real", 5, ()), replace=False)
    with pytest.raises(UsageError, match="points 5 .asked: 3."):
        protect(tmp_path, network, Claim("w1_lower_bound", "l2", "real", 3, ()), replace=False)


@pytest.mark.parametrize(
    "made",
    [
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to(path.name),
        lambda path: path.write_bytes(b""),
    ],
    ids=["a folder", "a pipe", "a link to nothing", "a link to itself", "empty"],
)
def test_a_table_that_is_there_says_the_same(made: Callable[[Path], None], issued: Path) -> None:
    """What is no file now may be one for whoever reads it later."""
    (issued / "points.csv").unlink()
    assert lipsort_cli.verify(issued).status == "VALID"
    made(issued / "points.csv")
    verdict = lipsort_cli.verify(issued)
    assert (verdict.status, verdict.field) == ("INVALID", "points.csv")


@pytest.mark.parametrize("name", ["certificate.json", "model.safetensors", "points.csv"])
def test_a_link_to_what_has_no_size_is_not_read(name: str, issued: Path) -> None:
    """Files that a kernel makes up as they are read are regular, of 0 bytes, and may never end."""
    made_up = Path("/proc/self/status")
    if not made_up.is_file():
        pytest.skip("no /proc here")
    (issued / name).unlink()
    (issued / name).symlink_to(made_up)
    verdict = lipsort_cli.verify(issued)
    assert verdict.status == "INVALID"
    assert "holds 0 bytes; allowed: 1 to" in verdict.reason


DAMAGED = {
    "a number out of range": ("summary", {"certified_at": [{"eps": "0x1p+5000", "count": 1}]}),
    "no number": ("summary", {"certified_at": [{"eps": 0.5, "count": 1}]}),
    "no network": ("network", None),
    "a network without digest": ("network", {"file": "x"}),
    "points that are no columns": ("points", 3),
    "no claim": ("claim", []),
    "data that are no object": ("data", "x"),
    "a digest that is a number": ("data", {"inputs_sha256": 1e400}),
}


@pytest.mark.parametrize("key, value", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_certificate_is_a_message(key: str, value: object, issued: Path) -> None:
    path = issued / "certificate.json"
    certificate = {**json.loads(path.read_text()), key: value}
    path.write_text(json.dumps(certificate))
    with pytest.raises(LipsortError, match="no certificate of this version"):
        read_claim(path)
    with pytest.raises(UsageError, match="cannot be read"):
        certify(issued / "model.safetensors", issued)


def test_a_long_certificate_is_the_same_claim(issued: Path) -> None:
    """Beyond what other files of JSON may hold, as one of a hundred thousand points."""
    path = issued / "certificate.json"
    claim, text = read_claim(path), path.read_text()
    assert json.loads(text)["digest"] == content_digest(json.loads(text))
    path.write_text(text + " " * 2**24)
    assert read_claim(path) == claim
    assert lipsort_cli.verify(issued).status == "VALID"
