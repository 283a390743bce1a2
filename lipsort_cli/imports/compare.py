"""Whether the imported network computes what the file does: at some inputs, so empirical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.certificates import Network
from lipsort_cli.errors import first_line
from lipsort_cli.imports.model import Model, Refused, package
from lipsort_cli.zoo.plain import plain_module

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
    found.append(np.concatenate([run(fed[k : k + 1]) for k in range(alone)]))
    if not model.fixed:
        found.append(run(fed[:count]))
    worst = 0.0
    for outputs in found:
        if outputs.shape != (len(outputs), network.classes):
            raise Refused(
                f"{model.source}: {runtime} returns {list(outputs.shape)} for a batch of {count}; "
                "an input's output must be a row of its own"
            )
        apart = np.abs(outputs - wanted[: len(outputs)]).max()
        worst = max(worst, float(apart) / largest) if np.isfinite(apart) else np.inf
    if worst > TOLERANCE:
        raise Refused(
            f"{model.source}: outputs of the imported network differ from {runtime}'s by "
            f"{worst:.3g} of the largest output, more than {TOLERANCE:g}: "
            "this importer misunderstands the file, or the file rounds in a way of its own"
        )
    return Agreement(runtime, count, worst)


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
        except (
            Exception
        ) as error:  # whatever their kernels raise; an ImportError where it is absent
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
