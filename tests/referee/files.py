"""Trials through files: certificates issued of random networks, verified in both arithmetics."""

from __future__ import annotations

from pathlib import Path

import adapter
import numpy as np
from networks import draw_inputs, draw_network
from tally import Tally
from trials import build, describe

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.w1 import issue_w1_certificate
from lipsort_cli.errors import LipsortError


def try_files(
    rng: np.random.Generator, tally: Tally, op: str, folder: Path, points: int = 4
) -> None:
    """Issue a certificate; ``verify`` says VALID, and ``--exact`` does not contradict it.

    Exact arithmetic may leave a claim open (UNSUPPORTED, with its reason), never refute it.
    """
    drawing = draw_network(rng, op, extreme=bool(rng.random() < 0.3))
    try:
        network = build(drawing)
    except adapter.Refused:
        tally.refuse(drawing.operations())
        return
    x = draw_inputs(rng, drawing, points).astype(np.float32)
    if rng.random() < 0.3:
        x *= np.float32(10.0 ** rng.uniform(-20, 0))
    images = x.reshape(points, *drawing.input_shape)
    norm = str(rng.choice(adapter.NORMS))
    arithmetic = str(rng.choice(["real", "binary64", "binary32"]))
    path = adapter.save(network, folder / "model.safetensors")
    try:
        if drawing.classes == 1:
            issue_w1_certificate(folder, path, images, images[::-1][: points - 1], norm=norm)
        else:
            logits, _ = adapter.errors(network, x, norm, "real")
            labels = np.nan_to_num(logits, nan=0.0).argmax(axis=1)
            issue_certificate(folder, path, images, labels, norm=norm, arithmetic=arithmetic)
    except (LipsortError, adapter.Refused):
        tally.refuse(drawing.operations())
        return
    words = f"{norm}, {arithmetic}: {describe(drawing)}"
    plain, exact = adapter.verdict(folder), adapter.verdict(folder, exact=True)
    if plain[0] != "VALID":
        tally.violate(f"issued, but {plain}: {words}")
    elif exact[0] not in ("VALID", "UNSUPPORTED"):
        tally.violate(f"VALID, but with --exact {exact}: {words}")
    elif exact[0] == "UNSUPPORTED":
        tally.unbounded += 1
        if not exact[2]:
            tally.violate(f"UNSUPPORTED without a reason: {words}")
    tally.count(drawing.operations(), 1, float(exact[0] == "VALID"))
