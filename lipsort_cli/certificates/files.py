"""Writing certificate folders: certificate, network and data side by side, each atomically."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.errors import UsageError
from lipsort_cli.files import LARGEST_WEIGHTS, make_folder, read_bytes, replacing
from lipsort_cli.quoting import spelled
from lipsort_cli.verifier.bounds import Route, chain_constant
from lipsort_cli.verifier.errors import Invalid
from lipsort_cli.verifier.format import content_digest, file_name, parse_certificate
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.operation import LayerBound
from lipsort_cli.verifier.radii import split
from lipsort_cli.verifier.rounding import Binary64
from lipsort_cli.verifier.strictjson import sha256
from lipsort_cli.verifier.tensors import LARGEST_FILE, pixels
from lipsort_cli.verifier.verify import TABLE

CERTIFICATE = "certificate.json"
NETWORK = "model.safetensors"
DATA = "certificate-data.safetensors"
MOST_POINTS = 1 << 20
"""Points whose columns, as text, a verifier reads."""
_HEADER = 1024
"""Bytes that a file of samples has besides their numbers."""

Files = dict[str, bytes]
"""What a certificate's folder is to hold, by name: written together, the certificate last."""


def name_beside(network: Path | bytes, directory: Path) -> str:
    """The name of a network's file, or link, that lies in ``directory``; empty for any other.

    Raises:
        UsageError: a certificate has a file of this name itself, or could not name it.
    """
    if isinstance(network, bytes) or network.parent.resolve() != directory.resolve():
        return ""
    own, name = (CERTIFICATE, TABLE, DATA), network.name
    try:
        if name not in own:
            return str(file_name(name, "network"))
    except Invalid:
        pass
    raise UsageError(
        f"network: found {str(network)!r}; allowed in the folder of its certificate: a name of at "
        "most 200 letters from A to Z, digits, '.', '_' and '-' that begins with a letter or "
        f"digit, and none of {', '.join(own)}; rename it, or choose another folder with {spelled()}"
    )


def store_network(files: Files, directory: Path, network: Path | bytes) -> dict[str, str]:
    """The certificate's ``network.file`` entries; what is not in ``directory`` yet is added."""
    contents = network if isinstance(network, bytes) else read_bytes(network, LARGEST_WEIGHTS)
    name = name_beside(network, directory)
    if not name:
        files[name := NETWORK] = contents
    return {"file": name, "file_sha256": sha256(contents)}


def network_entry(network: Network, stored: dict[str, str]) -> dict[str, str]:
    """The ``network`` field of a certificate."""
    return {
        **stored,
        "graph_sha256": network.graph_digest(),
        "weights_sha256": network.weights_digest(),
    }


def route_entries(network: Network, routes: Sequence[Route], *, body: bool) -> list[dict[str, Any]]:
    """The ``routes`` field of a certificate; ``body``: with the constants without the head."""
    made = []
    for route in routes:
        spans = {"network": route.bounds}
        if body:
            spans["body"] = route.bounds[: len(split(network).body)]
        constants = {
            name: float(chain_constant(bounds, Binary64()).value).hex()
            for name, bounds in spans.items()
        }
        layers = _layer_entries(route.bounds)
        made.append(
            {
                "inputs": route.inputs,
                "norm": route.norm,
                "layers": layers,
                "lipschitz": constants,
            }
        )
    return made


def _layer_entries(bounds: Sequence[LayerBound]) -> list[dict[str, Any]]:
    return [
        {
            "index": bound.index,
            "op": bound.op,
            "bound": bound.value.hex(),
            "method": bound.method,
            "witness": bound.witness.hex(),
            "parts": [_layer_entries(part) for part in bound.parts],
        }
        for bound in bounds
    ]


def require_storable(points: int, arrays: Iterable[NDArray[Any]]) -> None:
    """Refuse, before anything is proven, data that no verifier would read: with what would fit."""
    size = sum(array.nbytes for array in arrays) + _HEADER
    if size > LARGEST_FILE:
        raise UsageError(
            f"points: found {points:,}, {size:,} bytes of them; allowed: at most {LARGEST_FILE:,} "
            f"in one certificate, such as points={points * LARGEST_FILE // size}"
        )


def store_tensors(files: Files, tensors: dict[str, NDArray[Any]]) -> dict[str, str]:
    """Add ``certificate-data.safetensors``; returns ``file`` and ``file_sha256``."""
    from safetensors.numpy import save

    contents = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    files[DATA] = contents
    return {"file": DATA, "file_sha256": sha256(contents)}


def encode_inputs(inputs: NDArray[np.floating[Any]]) -> tuple[str, NDArray[Any]]:
    """The smallest exact encoding: eight-bit pixels where the floats are those, else the floats.

    Raises:
        UsageError: even that, with labels, is too large; or there are too many points.
    """
    if len(inputs) > MOST_POINTS:
        raise UsageError(
            f"points: found {len(inputs):,}; allowed: at most {MOST_POINTS:,} in one certificate"
        )
    encoding, encoded = str(inputs.dtype), inputs
    if inputs.dtype == np.float32 and inputs.size and inputs.min() >= 0 and inputs.max() <= 1:
        levels = np.rint(inputs * np.float32(255)).astype(np.uint8)
        # By bits: -0.0 equals 0.0, and has another digest.
        if pixels(levels).tobytes() == inputs.tobytes():
            encoding, encoded = "uint8/255", levels
    labels = np.broadcast_to(np.int64(0), len(inputs))
    require_storable(len(inputs), [encoded, labels])
    return encoding, encoded


def store_certificate(files: Files, directory: Path, certificate: dict[str, Any]) -> Path:
    """Add the digest, check the structure as the verifier will, and write all into the folder."""
    certificate = {**certificate, "digest": content_digest(certificate)}
    contents = json.dumps(certificate, indent=1, allow_nan=False).encode("ascii")
    parse_certificate(contents)
    _write_together(directory, files | {CERTIFICATE: contents})
    return directory / CERTIFICATE


def _write_together(folder: Path, files: Files) -> None:
    """Write files by their names into ``folder``: all of them, or none and no folder either.

    All are on the disk before the first takes its name; the last of them is the last to take its.

    Raises:
        LipsortError: one cannot be written; what was there before is untouched.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        make_folder(folder)
        with contextlib.ExitStack() as stack:
            # Whoever enters last leaves first.
            for name, content in reversed([*files.items()]):
                file = stack.enter_context(replacing(folder / name))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()
        raise
