"""What a certificate on disk claims, so that another claim does not silently take its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.certificates.files import CERTIFICATE, NETWORK, name_beside
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import read_json
from lipsort_cli.identity import file_digest
from lipsort_cli.quoting import spelled
from lipsort_cli.runs import RECORD
from lipsort_cli.verifier.strictjson import LARGEST_TEXT, sha256
from lipsort_cli.verifier.tensors import digest_array

OWN = "the network's own predictions"
"""What labels are where none are given."""
_SHORT = 12
"""Digits of a SHA-256 that messages show."""


class Claim(NamedTuple):
    """What is claimed, for how many points, and the radii ``eps`` whose counts are stated.

    ``inputs`` and ``labels`` tell the points of a classifier from others: the first digits of their
    SHA-256; of a critic nothing, and ``points`` are those of the larger sample, which says how many
    of each were taken. ``network``: the first digits of its file's; :func:`protect` knows them.
    """

    kind: str
    norm: str
    arithmetic: str
    points: int
    eps: tuple[float, ...]
    inputs: str = ""
    labels: str = ""
    network: str = ""

    @classmethod
    def of_points(
        cls,
        inputs: NDArray[np.floating[Any]],
        labels: NDArray[np.int64] | None,
        norm: str,
        arithmetic: str,
        eps: Iterable[float],
    ) -> Claim:
        """That of a classifier's points; labels None: its own predictions."""
        named = OWN if labels is None else digest_array(labels)[:_SHORT]
        points = digest_array(inputs)[:_SHORT]
        return cls("classification", norm, arithmetic, len(inputs), tuple(eps), points, named)

    def differences(self, asked: Claim) -> str:
        """What differs in ``asked``, in words; empty for the same claim."""
        return ", ".join(
            f"{name} {_text(found)} (asked: {_text(wanted)})"
            for name, found, wanted in zip(self._fields, self, asked, strict=True)
            if found != wanted
        )


def read_claim(path: Path) -> Claim:
    """The claim of a certificate of any kind. Raises LipsortError when it is damaged."""
    content = read_json(path, most=LARGEST_TEXT)
    try:
        claim: dict[str, Any] = content["claim"]
        stated = content.get("summary", {}).get("certified_at", [])
        data = content["data"] if content["kind"] == "classification" else {}
        own = str(data.get("source", "")).endswith(OWN)
        return Claim(
            content["kind"],
            claim["norm"],
            claim["arithmetic"],
            len(content["points"]["index"])
            if "points" in content
            else max(content[side]["count"] for side in "xy"),
            tuple(float.fromhex(entry["eps"]) for entry in stated),
            data.get("inputs_sha256", "")[:_SHORT],
            OWN if own else data.get("labels_sha256", "")[:_SHORT],
            content["network"]["file_sha256"][:_SHORT],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LipsortError(f"{path}: no certificate of this version ({error!r})") from None


def require_certified(network: Path) -> None:
    """Make sure that a network's file is the one that the certificate beside it, if any, is about.

    Raises:
        LipsortError: it is another, or the certificate is damaged.
    """
    path = network.parent / CERTIFICATE
    if not path.exists():
        return
    held = read_json(path, most=LARGEST_TEXT).get("network")
    wanted = held.get("file_sha256") if isinstance(held, dict) else None
    if (found := file_digest(network)) != wanted:
        raise LipsortError(
            f"{network}: found SHA-256 {found[:_SHORT]}..., allowed {str(wanted)[:_SHORT]}..., as "
            f"{CERTIFICATE} beside it has it: one of the two was changed or damaged; restore it, "
            "or issue the certificate again"
        )


def protect(directory: Path, network: Path | bytes, claim: Claim, *, replace: bool) -> None:
    """Refuse to overwrite what ``directory`` holds, unless it is this claim about this network.

    ``network``: its file, which a run's folder holds, or the content of one. ``replace`` allows
    another claim and network, but never the folder of another run.

    Raises:
        UsageError: the folder holds another run, another network, or another claim's certificate.
    """
    own = name_beside(network, directory)
    if not own and (directory / RECORD).exists():
        key = spelled("hydra.run.dir", "directory")
        raise UsageError(
            f"{key}: found {directory}, which holds another run; choose another folder"
        )
    path, found = directory / CERTIFICATE, ""
    if replace:
        return
    if path.exists():
        try:
            asked = claim._replace(network=(_digest(network) or "")[:_SHORT])
            found = read_claim(path).differences(asked)
        except LipsortError as error:
            found = f"what cannot be read ({error})"
        found = f"a certificate of another claim: {found}" if found else ""
    held = directory / NETWORK
    if not found and not own and held.exists() and _digest(held) != _digest(network):
        path, found = held, "another network"
    if found:
        raise UsageError(
            f"{path} holds {found}; choose another folder with {spelled()}, or overwrite it with "
            + spelled("replace=true", "replace=True")
        )


def _text(value: object) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _digest(network: Path | bytes) -> str | None:
    try:
        return sha256(network) if isinstance(network, bytes) else file_digest(network)
    except LipsortError:
        return None
