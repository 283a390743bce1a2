"""A run directory of an imported network, once it is seen to compute what the file does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from lipsort_cli.certificates.files import NETWORK
from lipsort_cli.certificates.points import (
    certified_accuracy,
    certify_points,
    lipschitz_bound,
    provable_arithmetic,
)
from lipsort_cli.console import plural
from lipsort_cli.directed_text import at_most
from lipsort_cli.errors import UsageError, first_line
from lipsort_cli.files import write_atomic, write_json
from lipsort_cli.imports.model import Model, Refused, package
from lipsort_cli.imports.network import Imported, import_network
from lipsort_cli.norms import NAMES
from lipsort_cli.trained import fitting
from lipsort_cli.verifier.graph import Network
from lipsort_cli.zoo.plain import plain_module

if TYPE_CHECKING:
    from lipsort_cli.config.imported import ImportConfig
    from lipsort_cli.data import Dataset

TOLERANCE = 1e-5
"""Largest difference of an output, over the largest output, that rounding may explain."""
_FEW = 16
"""Inputs of the reference evaluator, which is slow."""


@dataclass(frozen=True)
class Agreement:
    """``largest_difference``: of any output, over the largest output in size; empirical."""

    runtime: str
    points: int
    largest_difference: float
    evidence: str = "empirical"


def compare(
    model: Model,
    network: Network,
    inputs: NDArray[np.float32],
    prepared: NDArray[np.float32] | None = None,
) -> Agreement:
    """Compare at ``inputs [N, *shape]`` of the network; the file gets ``prepared`` instead, if any.

    By ONNX Runtime, where it is installed and runs the file, else by onnx's reference evaluator.
    One by one, and as one batch where the file takes any.

    Raises:
        Refused: outputs differ by more than rounding explains, or depend on the batch; nothing runs
            the file.
    """
    fed = (inputs if prepared is None else prepared).astype(model.dtype)
    runtime, run = _session(model, fed[:1])
    count = len(inputs) if runtime == "ONNX Runtime" else min(_FEW, len(inputs))
    double = plain_module(network, torch.float64)
    with torch.no_grad():
        wanted = double(torch.from_numpy(inputs[:count]).double()).numpy()
    largest = float(np.abs(wanted).max(initial=np.finfo(np.float32).tiny))
    found = []
    # One by one what the batch is compared with; all of them where there is no batch.
    alone = count if model.fixed else min(_FEW, count)
    found += [(1, place, run(fed[place : place + 1])) for place in range(alone)]
    if not model.fixed:
        try:
            found.append((count, 0, run(fed[:count])))
        except Exception as error:  # whatever kernels raise
            raise Refused(
                f"{model.source}: {runtime} runs it for one input, not for a batch of {count}: "
                f"{first_line(error)}; export it with a batch of 1, or for any"
            ) from error
        _refuse_mixing(model, runtime, found[0][2], found[-1][2], largest)
    worst = 0.0
    for rows, first, outputs in found:
        if outputs.shape != (rows, network.classes):
            raise Refused(
                f"{model.source}: {runtime} returns {list(outputs.shape)} for a batch of {rows}; "
                "an input's output must be a row of its own"
            )
        apart = np.abs(outputs - wanted[first : first + rows]).max()
        worst = max(worst, float(apart) / largest) if np.isfinite(apart) else np.inf
    if worst > TOLERANCE:
        raise Refused(
            f"{model.source}: outputs of the imported network differ from {runtime}'s by "
            f"{worst:.3g} of the largest output, more than {TOLERANCE:g}: "
            "this importer misunderstands the file, or the file rounds in a way of its own"
        )
    return Agreement(runtime, count, worst)


def _refuse_mixing(
    model: Model, runtime: str, alone: NDArray[Any], batch: NDArray[Any], largest: float
) -> None:
    """Refuse a file whose answer to the first input is another in a batch than alone."""
    together = batch[: len(alone)]
    if together.shape == alone.shape and np.abs(together - alone).max() > TOLERANCE * largest:
        raise Refused(
            f"{model.source}: {runtime} answers an input otherwise in a batch than alone: its "
            "outputs depend on the other inputs, for which no radius could be proven"
        )


Run = Callable[[NDArray[Any]], NDArray[Any]]
"""Outputs of a batch."""


def _session(model: Model, example: NDArray[Any]) -> tuple[str, Run]:
    """The name of what runs the file, tried on ``example``, and a function of a batch."""
    failures = []
    for name, make in (("ONNX Runtime", _runtime), ("onnx's reference evaluator", _reference)):
        try:
            run = make(model)
            run(example)
            return name, run
        except Exception as error:  # whatever kernels raise; ImportError where it is absent
            failures.append(f"{name}: {first_line(error)}")
    raise Refused(f"{model.source}: nothing here runs it to compare with ({'; '.join(failures)})")


def _runtime(model: Model) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised as well
    contents = model.proto.SerializeToString()
    session = onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {model.input: x})[0]


def _reference(model: Model) -> Run:
    evaluator = package().reference.ReferenceEvaluator(model.proto)
    return lambda x: evaluator.run(None, {model.input: x})[0]


def random_inputs(shape: tuple[int, ...], count: int, seed: int) -> NDArray[np.float32]:
    """Half of them in [0, 1], half standard normal: ``[count, *shape]``."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((count, *shape))
    found[::2] = rng.random((len(found[::2]), *shape))
    return found.astype(np.float32)


SUMMARY = "summary.md"


def network_bytes(network: Network) -> bytes:
    """The content of ``model.safetensors``."""
    tensors = {name: np.ascontiguousarray(value) for name, value in network.tensors().items()}
    return save(tensors, metadata={"lipsort_graph": json.dumps(network.graph(), sort_keys=True)})


def scaling(values: Sequence[float], shape: Sequence[int], key: str) -> NDArray[np.float32]:
    """Means or deviations as they are taken off inputs ``[N, *shape]``.

    Raises UsageError where they are neither one nor one a channel.
    """
    if len(values) not in (1, shape[0]):
        raise UsageError(
            f"{key}: found {plural(len(values), 'number')}; allowed: one, or {shape[0]}, one a "
            "channel"
        )
    return np.array(values, np.float32).reshape(-1, *[1] * (len(shape) - 1))


def make_run(
    model: Model, config: ImportConfig, directory: Path, dataset: Dataset | None
) -> tuple[Imported, Agreement, dict[str, Any]]:
    """Import, compare, and write network, results and summary into ``directory``."""
    mean, std = list(config.mean), list(config.std)
    if mean or std:
        mean, std = mean or [0.0], std or [1.0]
        taken = [scaling(v, model.shape, k) for v, k in ((mean, "mean"), (std, "std"))]
    imported = import_network(model, mean, std)
    if dataset is None:
        inputs = random_inputs(model.shape, config.points, config.seed)
    else:
        inputs, _ = fitting(dataset, imported.network, config.points)
    prepared = (inputs - taken[0]) / taken[1] if mean else None
    agreement = compare(model, imported.network, inputs, prepared)
    write_atomic(directory / NETWORK, network_bytes(imported.network))
    results = _results(model, imported, agreement, config, dataset)
    write_json(directory / "results.json", results)
    write_atomic(
        directory / SUMMARY, summary(model, imported, agreement, results, config.evaluation.norm)
    )
    return imported, agreement, results


def _results(
    model: Model,
    imported: Imported,
    agreement: Agreement,
    config: ImportConfig,
    dataset: Dataset | None,
) -> dict[str, Any]:
    network, norm = imported.network, config.evaluation.norm
    found: dict[str, Any] = {
        "evidence": {"lipschitz_bound": "proven", "clean_accuracy": "empirical"},
        "source": {
            "file": Path(model.source).name,
            "sha256": model.sha256,
            "operator_set": str(model.opset),
            "producer": f"{model.proto.producer_name} {model.proto.producer_version}".strip(),
            "evidence": "imported",
        },
        "agreement": asdict(agreement),
        "rounding": rounding_words(imported),
        "layers": [
            {"op": layer.op, "nodes": nodes}
            for layer, nodes in zip(network.layers, imported.nodes, strict=True)
        ],
        "parameters": sum(int(value.size) for value in network.tensors().values()),
        "lipschitz_bound": lipschitz_bound(network, norm).value,
    }
    if dataset is None or network.classes < 2:
        return found
    inputs, labels = fitting(dataset, network)
    arithmetic = provable_arithmetic(network)
    points = certify_points(network, inputs, labels, norm=norm, arithmetic=arithmetic)
    return found | {
        "clean_accuracy": float((points.predictions == labels).mean()),
        "certified_accuracy": points.entry(certified_accuracy(points, config.evaluation.eps)),
        "lipschitz_bound": points.lipschitz,
    }


def summary(
    model: Model, imported: Imported, agreement: Agreement, results: dict[str, Any], norm: str
) -> str:
    """What the run is, for a reader."""
    network, norm = imported.network, NAMES[norm]
    lines = [
        f"# {Path(model.source).name}, imported",
        "",
        f"A network of {results['parameters']:,} numbers from {list(network.input_shape)} to "
        f"{network.classes} outputs, read from an ONNX file (operator set {model.opset}, "
        f"{results['source']['producer'] or 'of no named producer'}, SHA-256 {model.sha256}).",
        "",
        "What later commands certify is the network in `model.safetensors`: the layers below. "
        f"Its outputs are those of {agreement.runtime} at {agreement.points} inputs up to "
        f"{at_most(agreement.largest_difference, 3)} of the largest (empirical). "
        + rounding_words(imported),
        "",
        f"Its Lipschitz constant is at most {at_most(results['lipschitz_bound'], 6)}, from {norm} "
        f"to {norm} (proven).",
        "",
        "| layer | operation | from | stands for |",
        "|---|---|---|---|",
    ]
    for place, (layer, nodes) in enumerate(zip(network.layers, imported.nodes, strict=True)):
        shape = "x".join(map(str, layer.shape))
        names = ", ".join(f"`{name}`" for name in nodes)
        lines.append(f"| {place} | {layer.op} | {shape} | {names} |")
    return "\n".join([*lines, ""])


def rounding_words(imported: Imported) -> str:
    """Whether weights are those of the file."""
    if not imported.rounded:
        return "All weights are exactly those of the file, or of what follows from them."
    return (
        f"{imported.rounded:,} weights were folded from several, or were finer than float32, and "
        f"are rounded to it, by at most {at_most(imported.rounding, 3)} of themselves: "
        "certificates are about the network with the rounded ones."
    )
