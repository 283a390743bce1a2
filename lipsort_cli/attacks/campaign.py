"""A campaign: every chosen adversary against every point, judged in the certified arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipsort_cli.arithmetic import certified_arithmetic
from lipsort_cli.attacks.auto import autoattack
from lipsort_cli.attacks.deepfool import deepfool
from lipsort_cli.attacks.outside import METHODS, outside
from lipsort_cli.attacks.pgd import fgsm, pgd
from lipsort_cli.attacks.search import Findings, edge_search
from lipsort_cli.certificates.points import evaluate, issued_bounds
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.operation import LayerBound
from lipsort_cli.zoo.plain import plain_module

CHUNK = 500
DEEPFOOL_STEPS = 12
"""DeepFool converges in a few steps or not at all."""


class Campaign:
    """Attacks on one network in one norm; ``arithmetic`` decides what counts as fooled."""

    def __init__(
        self,
        network: Network,
        *,
        norm: str,
        arithmetic: str,
        bounds: tuple[float, float] | None,
        steps: int = 40,
        restarts: int = 1,
        seed: int = 0,
    ) -> None:
        self.network, self.norm, self.arithmetic, self.bounds = network, norm, arithmetic, bounds
        self.steps, self.restarts, self.seed = steps, restarts, seed
        self.generator = torch.Generator().manual_seed(seed)
        self.remarks: list[str] = []
        """What AutoAttack finds suspicious: gradients that vanish, what only Square has found."""
        self.dtype = torch.float32 if arithmetic == "binary32" else torch.float64
        self.module = plain_module(network, self.dtype)

    @cached_property
    def layer_bounds(self) -> Sequence[LayerBound]:
        """In the norm of the attack."""
        return issued_bounds(self.network, self.norm)

    @certified_arithmetic()
    def fooled(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Whether the label is lost, ``[N]``: a tie or NaN counts, as the certificate rules it out.

        For ``real`` arithmetic a loss must exceed what binary64 may have rounded.
        """
        if self.arithmetic == "real":
            found = evaluate(
                self.network, inputs.numpy(), "real", norm=self.norm, bounds=self.layer_bounds
            )
            gaps = worst_margin(torch.from_numpy(found.logits), labels)
            return gaps <= -2 * torch.from_numpy(found.error)
        with torch.no_grad():
            return ~(worst_margin(self.module(inputs), labels) > 0)

    @certified_arithmetic()
    def run(
        self,
        methods: Sequence[str],
        inputs: NDArray[np.float32],
        labels: NDArray[np.int64],
        radii: NDArray[np.float64],
        eps: Sequence[float],
        progress: Callable[[int], None] = lambda done: None,
    ) -> Findings:
        """Attack ``inputs [N, ...]``; ``radii [N]`` are the certified radii, ``eps`` budgets."""
        x, y = torch.from_numpy(inputs).to(self.dtype), torch.from_numpy(labels)
        whole = Findings.start(x, y, self.norm)
        for start in range(0, len(x), CHUNK):
            part = slice(start, start + CHUNK)
            findings = Findings.start(x[part], y[part], self.norm)
            findings.record(x[part], self.fooled(x[part], y[part]))
            for method in methods:
                if method != "rounding":
                    self._attack(method, findings, eps)
            findings.bisect(self.fooled)
            if "rounding" in methods:
                edge_search(
                    self.fooled, findings, radii[part], bounds=self.bounds, generator=self.generator
                )
            whole.nearest[part] = findings.nearest
            whole.witness[part] = findings.witness
            progress(min(start + CHUNK, len(x)))
        return whole

    def _attack(self, method: str, findings: Findings, eps: Sequence[float]) -> None:
        if method == "autoattack":
            self._autoattack(findings, eps)
            return
        x, y, steps = findings.inputs, findings.labels, self.steps
        space: Any = {"norm": self.norm, "bounds": self.bounds}
        if method == "deepfool":
            made = [deepfool(self.module, x, y, steps=min(steps, DEEPFOOL_STEPS), **space)]
        elif method in METHODS:
            made = [outside(method, self.module, x, y, steps=steps, seed=self.seed, **space)]
        elif method == "fgsm":
            made = [fgsm(self.module, x, y, radius, **space) for radius in eps]
        else:
            space |= {"restarts": self.restarts, "generator": self.generator}
            made = [pgd(self.module, x, y, radius, steps=steps, **space)[1] for radius in eps]
        for found in made:
            findings.record(found, self.fooled(found, y))

    def _autoattack(self, findings: Findings, eps: Sequence[float]) -> None:
        """At each radius, against the points that are not known to fall within it."""
        for radius in eps:
            rows = torch.from_numpy(np.flatnonzero(findings.nearest > radius))
            if not len(rows):
                continue
            x, y = findings.inputs[rows], findings.labels[rows]
            found, said = autoattack(
                self.module, x, y, radius, norm=self.norm, bounds=self.bounds, seed=self.seed
            )
            findings.record(found, self.fooled(found, y), rows)
            self.remarks += [f"autoattack at {radius}: {words}" for words in said]
