"""``verify(path)``: the verdict on a certificate file. Never raises for what a file contains."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .classification import check_classification, check_table
from .data import Points, stored_points
from .effort import Budget, claimed_work
from .errors import Invalid, Refused, Unsupported
from .format import parse_certificate
from .graph import Network, parse_network
from .rounding import gradual_underflow
from .strictjson import LARGEST_TEXT, sha256
from .tensors import read_bytes
from .w1 import check_w1
from .words import at_most

CERTIFICATE = "certificate.json"
"""The file that makes a folder a certificate."""

TABLE = "points.csv"
"""The same points for people; checked where it lies beside the certificate."""

EXIT_CODES = {"VALID": 0, "INVALID": 1, "MISUSED": 2, "UNSUPPORTED": 3}


@dataclass(frozen=True)
class Verdict:
    """``status`` VALID, INVALID or UNSUPPORTED; ``field`` and ``reason`` of the first fault.

    MISUSED says that an option names what cannot be meant, and nothing about the certificate.
    """

    status: str
    statement: str = ""
    field: str = ""
    reason: str = ""
    lines: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 VALID, 1 INVALID, 2 MISUSED, 3 UNSUPPORTED."""
        return EXIT_CODES[self.status]


def verify(
    path: str | os.PathLike[str],
    *,
    exact: bool = False,
    data: str | os.PathLike[str] | None = None,
    network: str | os.PathLike[str] | None = None,
    patience: float | None = None,
) -> Verdict:
    """Re-derive every claim of the certificate at ``path`` (a file, or the folder that holds it).

    ``data``: take inputs and labels from this data set instead of the stored copy; the points are
    those at the certificate's indices. ``network``: check this deployed network (safetensors with
    its graph, or ONNX as lipsort writes it) instead of the stored one. ``exact``: judge every
    inequality once more in exact arithmetic. ``patience``: about the seconds of one core that all
    this may take; by default 3.5, and more for files of more than 10 MB.
    """
    if patience is not None and not patience > 0:
        reason = f"found {patience}; allowed: a number of seconds above 0"
        return Verdict("MISUSED", field="--patience", reason=reason)
    own, deployed = (None if name is None else Path(name) for name in (data, network))
    try:
        # Bounds that overflow become infinite or NaN, and prove nothing: no reason to warn.
        with np.errstate(all="ignore"):
            return _verify(Path(path), exact, own, deployed, patience)
    except Refused as fault:
        return Verdict(type(fault).__name__.upper(), field=fault.field, reason=fault.reason)
    except (MemoryError, RecursionError) as fault:
        return Verdict("UNSUPPORTED", field="certificate", reason=f"too large: {fault!r:.80}")
    except Exception as fault:
        # A file must never end in a traceback; what was not foreseen is not judged either.
        return Verdict("UNSUPPORTED", field="verifier", reason=f"cannot judge: {fault!r:.200}")


def _verify(
    path: Path, exact: bool, data: Path | None, deployed: Path | None, patience: float | None
) -> Verdict:
    if not gradual_underflow():
        raise Unsupported("process", "this process flushes subnormal numbers to zero")
    if path.is_dir():
        path = path / CERTIFICATE
    text = read_bytes(path, "certificate", LARGEST_TEXT)
    certificate = parse_certificate(text)
    network, size = _network(certificate, path.parent, deployed)
    points, contents = None, b""
    if certificate["kind"] == "w1_lower_bound" and data is not None:
        raise Unsupported("--data", "a Wasserstein certificate covers its stored samples only")
    if data is None:
        contents = _data_bytes(certificate, path.parent)
    budget = Budget.of(len(text) + size + len(contents), exact, patience)
    for machine in (False, True)[: 1 + exact]:
        budget.spend(claimed_work(certificate, network, machine))
    if certificate["kind"] == "w1_lower_bound":
        routes = check_w1(certificate, network, contents)
    else:
        points = _points(certificate, contents, data)
        routes = check_classification(certificate, network, points)
        if (path.parent / TABLE).is_file():
            check_table(certificate, read_bytes(path.parent / TABLE, TABLE, LARGEST_TEXT))
    lines = [_constant_line(certificate)]
    if exact:
        from .exact_claims import check_exactly

        lines.append(check_exactly(certificate, network, points, routes, contents, budget))
    return Verdict("VALID", certificate["statement"], lines=tuple(lines))


def _network(
    certificate: dict[str, Any], folder: Path, deployed: Path | None
) -> tuple[Network, int]:
    """The network certified, and the size of its file."""
    stored = certificate["network"]
    other = deployed is not None and deployed.suffix != ".onnx"
    path = deployed if deployed is not None and other else folder / stored["file"]
    contents = read_bytes(path, "network.file")
    if not other and sha256(contents) != stored["file_sha256"]:
        raise Invalid("network.file_sha256", f"{path.name} is not the file of the certificate")
    network = parse_network(contents)
    if network.graph_digest() != stored["graph_sha256"]:
        raise Invalid("network.graph_sha256", "the network's layers are not those certified")
    if network.weights_digest() != stored["weights_sha256"]:
        raise Invalid("network.weights_sha256", "the network's weights are not those certified")
    if deployed is not None and not other:
        from .onnx import check_onnx

        check_onnx(certificate, network, deployed)
    return network, len(contents)


def _data_bytes(certificate: dict[str, Any], folder: Path) -> bytes:
    stored = certificate["data"]
    contents = read_bytes(folder / stored["file"], "data.file")
    if sha256(contents) != stored["file_sha256"]:
        raise Invalid("data.file_sha256", f"{stored['file']} is not the file of the certificate")
    return contents


def _points(certificate: dict[str, Any], contents: bytes, data: Path | None) -> Points:
    if data is None:
        return stored_points(contents, certificate["data"]["encoding"], "data.file")
    from .external import certified_points

    return certified_points(certificate, data)


def _constant_line(certificate: dict[str, Any]) -> str:
    value = certificate["lipschitz"]["network"]
    norm = certificate["claim"]["norm"]
    named = ", ".join(
        route["norm"]
        if route["inputs"] == route["norm"]
        else f"{route['norm']} (the first from {route['inputs']})"
        for route in certificate["routes"]
    )
    return (
        f"Lipschitz constant of the network ({norm}): at most {at_most(value)} (proven); "
        f"layers bounded in {named}"
    )
