"""``verify(path)``: the verdict on a certificate file. Never raises for what a file contains."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsort_cli.verifier.bounds import LayerBound
from lipsort_cli.verifier.classification import check_classification
from lipsort_cli.verifier.data import Points, external_points, stored_points
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.format import parse_certificate
from lipsort_cli.verifier.graph import Network, parse_network
from lipsort_cli.verifier.rounding import gradual_underflow
from lipsort_cli.verifier.strictjson import LARGEST_TEXT, sha256
from lipsort_cli.verifier.tensors import read_bytes
from lipsort_cli.verifier.w1 import check_w1
from lipsort_cli.verifier.words import at_most

CERTIFICATE = "certificate.json"
"""The file that makes a folder a certificate."""

EXIT_CODES = {"VALID": 0, "INVALID": 1, "UNSUPPORTED": 3}


@dataclass(frozen=True)
class Verdict:
    """``status`` VALID, INVALID or UNSUPPORTED; ``field`` and ``reason`` of the first fault."""

    status: str
    statement: str = ""
    field: str = ""
    reason: str = ""
    lines: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 VALID, 1 INVALID, 3 UNSUPPORTED."""
        return EXIT_CODES[self.status]


def verify(
    path: str | os.PathLike[str],
    *,
    exact: bool = False,
    data: str | os.PathLike[str] | None = None,
    network: str | os.PathLike[str] | None = None,
) -> Verdict:
    """Re-derive every claim of the certificate at ``path`` (a file, or the folder that holds it).

    ``data``: take inputs and labels from this data set instead of the stored copy; the points are
    those at the certificate's indices. ``network``: check this deployed network (safetensors with
    its graph, or ONNX) instead of the stored one. ``exact``: judge every inequality once more in
    exact integer arithmetic.
    """
    try:
        return _verify(
            Path(path),
            exact,
            None if data is None else Path(data),
            None if network is None else Path(network),
        )
    except Invalid as fault:
        return Verdict("INVALID", field=fault.field, reason=fault.reason)
    except Unsupported as fault:
        return Verdict("UNSUPPORTED", field=fault.field, reason=fault.reason)
    except (MemoryError, RecursionError) as fault:
        return Verdict("UNSUPPORTED", field="certificate", reason=f"too large: {fault!r:.80}")
    except Exception as fault:
        # A file must never end in a traceback; what was not foreseen is not judged either.
        return Verdict("UNSUPPORTED", field="verifier", reason=f"cannot judge: {fault!r:.200}")


def _verify(path: Path, exact: bool, data: Path | None, deployed: Path | None) -> Verdict:
    if not gradual_underflow():
        raise Unsupported("process", "this process flushes subnormal numbers to zero")
    if path.is_dir():
        path = path / CERTIFICATE
    certificate = parse_certificate(read_bytes(path, "certificate", LARGEST_TEXT))
    network = _network(certificate, path.parent, deployed)
    if certificate["kind"] == "w1_lower_bound":
        if data is not None:
            raise Unsupported("--data", "a Wasserstein certificate covers its stored samples only")
        bounds = check_w1(certificate, network, _data_bytes(certificate, path.parent))
        points = None
    else:
        points = _points(certificate, path.parent, data)
        bounds = check_classification(certificate, network, points)
    lines = [_constant_line(certificate)]
    if exact:
        lines.append(_exact(certificate, network, points, bounds, path.parent))
    return Verdict("VALID", certificate["statement"], lines=tuple(lines))


def _network(certificate: dict[str, Any], folder: Path, deployed: Path | None) -> Network:
    stored = certificate["network"]
    path = folder / stored["file"] if deployed is None else deployed
    contents = read_bytes(path, "network.file")
    if deployed is None and sha256(contents) != stored["file_sha256"]:
        raise Invalid("network.file_sha256", f"{path.name} is not the file of the certificate")
    if path.suffix == ".onnx":
        from lipsort_cli.verifier.onnx_network import parse_onnx

        network = _certified_original(parse_onnx(contents), certificate, folder)
    else:
        network = parse_network(contents)
    if network.graph_digest() != stored["graph_sha256"]:
        raise Invalid("network.graph_sha256", "the network's layers are not those certified")
    if network.weights_digest() != stored["weights_sha256"]:
        raise Invalid("network.weights_sha256", "the network's weights are not those certified")
    return network


def _certified_original(found: Network, certificate: dict[str, Any], folder: Path) -> Network:
    """The certified network, if ``found`` is that network with constants rounded to binary32.

    ONNX stores means, deviations, slopes and factors in binary32; the error bounds of binary32
    allow for that rounding, so the certificate covers the rounded network as well.
    """
    stored = certificate["network"]
    path = folder / stored["file"]
    if (
        found.graph_digest() == stored["graph_sha256"]
        or certificate["claim"]["arithmetic"] != "binary32"
        or not path.is_file()
    ):
        return found
    original = parse_network(read_bytes(path, "network.file"))
    same = original.rounded().graph_digest() == found.graph_digest()
    return original if same and original.weights_digest() == found.weights_digest() else found


def _data_bytes(certificate: dict[str, Any], folder: Path) -> bytes:
    stored = certificate["data"]
    contents = read_bytes(folder / stored["file"], "data.file")
    if sha256(contents) != stored["file_sha256"]:
        raise Invalid("data.file_sha256", f"{stored['file']} is not the file of the certificate")
    return contents


def _points(certificate: dict[str, Any], folder: Path, data: Path | None) -> Points:
    if data is None:
        encoding = certificate["data"]["encoding"]
        return stored_points(_data_bytes(certificate, folder), encoding, "data.file")
    found = external_points(data, "--data")
    index = certificate["points"]["index"]
    if max(index, default=0) >= len(found.inputs):
        raise Invalid("points.index", f"the data set has {len(found.inputs)} points")
    return Points(found.inputs[index], found.labels[index])


def _constant_line(certificate: dict[str, Any]) -> str:
    value = certificate["lipschitz"]["network"]
    norm = certificate["claim"]["norm"]
    return f"Lipschitz constant of the network ({norm}): at most {at_most(value)} (proven)"


def _exact(
    certificate: dict[str, Any],
    network: Network,
    points: Points | None,
    bounds: list[LayerBound],
    folder: Path,
) -> str:
    from lipsort_cli.verifier.exact_claims import check_exactly

    return check_exactly(certificate, network, points, bounds, folder)
