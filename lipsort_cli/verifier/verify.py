"""``verify(path)``: the verdict on a certificate file. Never raises for what a file contains."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .classification import Certificate, at_most, check_classification, check_table
from .errors import Misused, Refused, Unsupported, require
from .format import parse_certificate
from .graph import Network, parse_network
from .radii import Claims
from .rounding import gradual_underflow
from .strictjson import LARGEST_TEXT, sha256
from .tensors import Points, read_bytes, stored_points
from .w1 import Claim, check_w1

CERTIFICATE = "certificate.json"  # the file that makes a folder a certificate
Source = Callable[[Certificate], Points]  # of a certificate's points
TABLE = "points.csv"  # the same points for people; checked where it lies beside the certificate


class Verdict(NamedTuple):
    """VALID; or INVALID or UNSUPPORTED, with ``field`` and ``reason`` of the first fault."""

    status: str  # MISUSED: an option names what cannot be meant; nothing about the certificate
    statement: str = ""
    field: str = ""
    reason: str = ""
    lines: tuple[str, ...] = ()

    def __bool__(self) -> bool:  # a tuple that is not empty would always be true
        return self.status == "VALID"

    @property
    def exit_code(self) -> int:
        """0 VALID, 1 INVALID, 2 MISUSED, 3 UNSUPPORTED."""
        return ("VALID", "INVALID", "MISUSED", "UNSUPPORTED").index(self.status)


class Patience:
    """What may turn work down before any is done, by raising Unsupported; this one never does."""

    def claimed(self, certificate: Certificate, network: Network, size: int, exact: bool) -> None:
        """All that a certificate of ``size`` bytes of files asks for."""

    def again(self, network: Network, points: int) -> None:
        """To carry so many points through a network once more, exactly, with far more bits."""


def verify(
    path: str | os.PathLike[str],
    *,
    exact: bool = False,
    data: Source | None = None,
    network: str | os.PathLike[str] | None = None,
    patience: Patience | None = None,
) -> Verdict:
    """Re-derive every claim of the certificate at ``path`` (a file, or the folder that holds it).

    ``data``: points to be checked instead of the stored copy. ``network``: a deployed one
    (safetensors with its graph, or ONNX as lipsort writes it) instead of the stored one. ``exact``:
    judge every inequality once more in exact arithmetic. ``patience``: what may turn work down.
    """
    deployed = None if network is None else Path(network)
    try:
        # Bounds that overflow become infinite or NaN, and prove nothing: no reason to warn.
        with np.errstate(all="ignore"):
            return _verify(Path(path), exact, data, deployed, patience or Patience())
    except Refused as fault:
        return Verdict(type(fault).__name__.upper(), field=fault.field, reason=fault.reason)
    except (MemoryError, RecursionError) as fault:
        return Verdict("UNSUPPORTED", field="certificate", reason=f"too large: {fault!r:.80}")
    except Exception as fault:
        # No file ends in a traceback; what was not foreseen is not judged either.
        return Verdict("UNSUPPORTED", field="verifier", reason=f"cannot judge: {fault!r:.200}")


def _verify(
    path: Path, exact: bool, data: Source | None, deployed: Path | None, patience: Patience
) -> Verdict:
    require(gradual_underflow(), "process", "it flushes subnormal numbers to zero", Unsupported)
    path = _certificate(path, deployed)
    text = read_bytes(path, "certificate", LARGEST_TEXT)
    certificate = parse_certificate(text)
    network, size = _network(certificate, path.parent, deployed)
    critic, stored = certificate["kind"] == "w1_lower_bound", certificate["data"]
    reason = "a Wasserstein certificate covers its stored samples only"
    require(not critic or data is None, "--data", reason, Unsupported)
    contents = b"" if data else _stored(stored, path.parent, "data")
    patience.claimed(certificate, network, len(text) + size + len(contents), exact)
    if critic:
        claims: Claims | Claim = check_w1(certificate, network, contents)
    else:
        given = data(certificate) if data else stored_points(contents, stored["encoding"])
        claims = check_classification(certificate, network, given)
        if os.path.lexists(path.parent / TABLE):
            check_table(certificate, read_bytes(path.parent / TABLE, TABLE, LARGEST_TEXT))
    lines = [_constant_line(certificate)]
    if exact:
        from .exact import check_exactly

        lines.append(check_exactly(certificate, network, claims, patience))
    return Verdict("VALID", certificate["statement"], lines=tuple(lines))


def _certificate(path: Path, deployed: Path | None) -> Path:
    """The certificate's file. Raises Misused where that, or the deployed network, is not there."""
    hint = f"give a {CERTIFICATE} or the folder that holds it; `lipsort certify RUN` issues one"
    try:
        require(path.exists(), "certificate", f"{path} does not exist; {hint}", Misused)
        fault = "is no file" if deployed and deployed.exists() else "does not exist"
        require(deployed is None or deployed.is_file(), "--network", f"{deployed} {fault}", Misused)
        path = path / CERTIFICATE if path.is_dir() else path
        reason = f"{path.parent} holds no {CERTIFICATE}; {hint}"
        require(path.exists(), "certificate", reason, Misused)
    except (OSError, ValueError) as error:
        raise Misused("certificate", f"cannot look up the paths given: {error}") from None
    return path


def _stored(stored: dict[str, str], folder: Path, where: str) -> bytes:
    """The contents of a file beside the certificate."""
    contents = read_bytes(folder / stored["file"], f"{where}.file")
    reason = f"{stored['file']} is not the file of the certificate"
    require(sha256(contents) == stored["file_sha256"], f"{where}.file_sha256", reason)
    return contents


def _network(certificate: Certificate, folder: Path, deployed: Path | None) -> tuple[Network, int]:
    """The network certified, and the size of its file."""
    stored = certificate["network"]
    onnx = deployed is not None and deployed.suffix.lower() == ".onnx"
    if deployed is None or onnx:
        contents = _stored(stored, folder, "network")
    else:
        contents = read_bytes(deployed, "network.file")
    network = parse_network(contents)
    for name, digest in (("graph", network.graph_digest()), ("weights", network.weights_digest())):
        reason = f"the network's {'layers' if name == 'graph' else name} are not those certified"
        require(digest == stored[f"{name}_sha256"], f"network.{name}_sha256", reason)
    if deployed is not None and onnx:
        from .onnx import check_onnx

        check_onnx(certificate, network, deployed)
    return network, len(contents)


def _constant_line(certificate: Certificate) -> str:
    value, norm = at_most(certificate["lipschitz"]["network"]), certificate["claim"]["norm"]
    pairs = [(route["norm"], route["inputs"]) for route in certificate["routes"]]
    named = (own + f" (the first from {other})" * (own != other) for own, other in pairs)
    line = f"Lipschitz constant of the network ({norm}): at most {value} (proven)"
    return f"{line}; layers bounded in {', '.join(named)}"
