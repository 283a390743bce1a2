"""Trials of what is deployed: the torch module and the ONNX file compute what is certified.

For every operation, at adversarial magnitudes, within the error that the certificate's arithmetic
allows them.
"""

from __future__ import annotations

import adapter
import numpy as np
import torch
from networks import Drawing, draw_inputs, draw_network
from tally import Tally
from trials import build, describe

from lipsort_cli.zoo.plain import plain_module


def try_deployed(
    rng: np.random.Generator, tally: Tally, op: str = "", points: int = 12, onnx: bool = True
) -> None:
    """One network, its module in float32 (batched, single, flushed) and its ONNX file."""
    drawing = draw_network(rng, op, deepest=3)
    try:
        network = build(drawing)
    except adapter.Refused:
        tally.refuse(drawing.operations())
        return
    check_deployed(rng, tally, drawing, network, draw_inputs(rng, drawing, points), onnx)


def check_deployed(
    rng: np.random.Generator,
    tally: Tally,
    drawing: Drawing,
    network: object,
    x: np.ndarray,
    onnx: bool = True,
) -> None:
    """The trial of one network at ``x [N, n]``."""
    try:
        logits, allowed = adapter.errors(network, x, str(rng.choice(adapter.NORMS)), "binary32")
    except adapter.Refused:
        tally.refuse(drawing.operations())
        return
    images = x.astype(np.float32).reshape(len(x), *drawing.input_shape)
    answers = _torch(network, images)
    if onnx:
        try:
            answers["onnx"] = _onnxruntime(adapter.onnx(network), images)
        except adapter.Refused:
            tally.refuse([f"onnx {name}" for name in drawing.operations()])
    claimed = np.isfinite(allowed)
    for kind, found in answers.items():
        with np.errstate(all="ignore"):
            apart = np.abs(found.astype(np.float64) - logits)[claimed]
        limit = allowed[claimed][:, None]
        with np.errstate(all="ignore"):
            ratio = np.where(apart == 0, 0.0, apart / limit)
        family = kind.split(",")[0]
        keys = [f"{family} {name}" for name in drawing.operations()]
        tally.count(keys, apart.size, float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0)))
        if not (apart * (1 - 2.0**-52) <= limit).all():
            tally.violate(f"{kind}: {ratio.max():.6g} of its bound: {describe(drawing)}")


def _torch(network: object, images: np.ndarray) -> dict[str, np.ndarray]:
    module = plain_module(network)
    inputs = torch.from_numpy(images)
    found = {}
    with torch.no_grad():
        found["torch"] = module(inputs).numpy()
        found["torch, single"] = np.concatenate([module(row[None]).numpy() for row in inputs])
        torch.set_flush_denormal(True)
        try:
            found["torch, flushed"] = module(inputs).numpy()
        finally:
            torch.set_flush_denormal(False)
    return found


def _onnxruntime(contents: bytes, images: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
