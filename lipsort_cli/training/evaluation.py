"""What a trained classifier is worth: clean, certified and under attack, on the test set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipsort_cli.arithmetic import certified_arithmetic, judging_device
from lipsort_cli.attacks import pgd
from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates.points import (
    CertifiedPoints,
    certified_accuracy,
    certify_points,
    provable_arithmetic,
)
from lipsort_cli.certificates.predictions import deviation_radii
from lipsort_cli.config.train import TrainConfig
from lipsort_cli.console import console
from lipsort_cli.data.dataset import Dataset, Split
from lipsort_cli.errors import LipsortError
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.norms import lengths
from lipsort_cli.verifier.graph import Network
from lipsort_cli.zoo import Network as TorchNetwork

BATCH = 1000


@dataclass(frozen=True)
class TestFigures:
    """Figures of one network on one test set.

    ``clean`` and ``attacked`` are empirical, ``certified`` is proven for its arithmetic.
    """

    clean: float
    certified: dict[str, float]
    attacked: dict[str, float]
    attacked_points: int
    points: CertifiedPoints
    deviations: dict[str, float] = field(default_factory=dict)
    """``certified`` with radii in standard deviations of each input, in real arithmetic."""

    def results(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        found: dict[str, Any] = {
            "clean_accuracy": self.clean,
            "evidence": {
                "clean_accuracy": "empirical",
                "certified_accuracy": "proven",
                "attacked_accuracy": "empirical",
                "lipschitz_bound": "proven",
            },
            "certified_accuracy": self.points.entry(self.certified),
        }
        if self.deviations:
            found["certified_accuracy_in_deviations"] = {
                **self.points.entry(self.deviations),
                "arithmetic": "real",
                "units": "standard deviations of each input over the training rows",
            }
        if self.attacked:
            found["attacked_accuracy"] = {
                "norm": self.points.norm,
                "eps": self.attacked,
                "evidence": "empirical",
                "attack": "pgd",
                "points": self.attacked_points,
            }
        found["lipschitz_bound"] = self.points.lipschitz
        return found


@certified_arithmetic()
def evaluate(
    network: TorchNetwork,
    plain: Network,
    dataset: Dataset,
    config: TrainConfig,
    device: torch.device,
) -> TestFigures:
    """Measure ``network`` on the test set, on which nothing was selected, and certify ``plain``.

    ``plain`` is the network's plain form, as saved. The attack runs on ``device``, or on the CPU
    where this one rounds otherwise than certified.

    Raises:
        LipsortError: an attack fooled a point inside its certified radius: a defect of lipsort.
    """
    device = judging_device(device)
    network.eval().to(device)
    test = dataset.test
    wanted = config.evaluation.arithmetic
    arithmetic = provable_arithmetic(plain, wanted)
    if arithmetic != wanted:
        console.print(
            f"certified in real arithmetic: no error bound of {wanted} is known for tanh and "
            "sigmoid"
        )
    inputs, labels = test.inputs.numpy(), test.labels.numpy()
    norm, eps = config.evaluation.norm, config.evaluation.eps
    points = certify_points(plain, inputs, labels, norm=norm, arithmetic=arithmetic)
    if arithmetic == "binary32":
        correct = correct_points(network, test, device)
    else:  # as the certificates: float32 could lose a point that they certify
        correct = (worst_margin(torch.from_numpy(points.logits), test.labels) > 0).numpy()
    clean = float(correct.mean())
    judge = Campaign(plain, norm=norm, arithmetic=arithmetic, bounds=dataset.bounds)
    attacked, count = _attacked(network, dataset, config, device, points, correct, judge)
    deviations = {}
    if dataset.scale is not None:
        radii = deviation_radii(plain, inputs, labels, norm=norm)
        deviations = certified_accuracy(points._replace(radii=radii), eps)
    certified = certified_accuracy(points, eps)
    return TestFigures(clean, certified, attacked, count, points, deviations)


@torch.no_grad()
@certified_arithmetic()
def correct_points(network: TorchNetwork, test: Split, device: torch.device) -> NDArray[np.bool_]:
    """Whether the true class is strictly ahead: ties and NaN are errors."""
    network.eval().to(device)
    margins = [
        worst_margin(network(x.to(device)), y.to(device)).cpu()
        for x, y in zip(test.inputs.split(BATCH), test.labels.split(BATCH), strict=True)
    ]
    return (torch.cat(margins) > 0).numpy()


def _attacked(
    network: TorchNetwork,
    dataset: Dataset,
    config: TrainConfig,
    device: torch.device,
    points: CertifiedPoints,
    correct: NDArray[np.bool_],
    judge: Campaign,
) -> tuple[dict[str, float], int]:
    attack, norm = config.evaluation.attack, config.evaluation.norm
    count = len(dataset.test) if attack.points is None else min(attack.points, len(dataset.test))
    result: dict[str, float] = {}
    if count == 0:
        return result, 0
    radii = torch.from_numpy(points.radii)
    fooled = torch.from_numpy(~correct & (points.radii == 0))[:count].clone()
    ascending = sorted(config.evaluation.eps)
    # What falls within a radius has fallen within every larger one: it is attacked no further. A
    # point with a certificate is attacked from the largest radius that this covers, which includes
    # all smaller balls: as hard a test of the certificate as any.
    for eps, following in zip(ascending, [*ascending[1:], math.inf], strict=True):
        generator = torch.Generator().manual_seed(config.seed)
        for index in (~fooled & (radii[:count] < following)).nonzero()[:, 0].split(BATCH):
            if not len(index):  # all have fallen
                continue
            inputs, labels = dataset.test.inputs[index], dataset.test.labels[index]
            # What is added to an input is rounded, and has to end within the radius all the same.
            lost = 8 * torch.finfo(inputs.dtype).eps * (eps + float(lengths(inputs, norm).max()))
            found, moved = pgd(
                network,
                inputs.to(device),
                labels.to(device),
                max(eps - lost, 0.0),
                norm=norm,
                steps=attack.steps,
                restarts=attack.restarts,
                bounds=dataset.bounds,
                generator=generator,
            )
            fooled[index] = _judged(
                judge, found.cpu(), inputs, moved.cpu(), labels, radii[index], eps
            )
        result[f"{eps}"] = int((~fooled).sum()) / count
    return result, count


def _judged(
    judge: Campaign,
    found: Tensor,
    inputs: Tensor,
    moved: Tensor,
    labels: Tensor,
    radii: Tensor,
    eps: float,
) -> Tensor:
    """Which of the points ``found`` lose their label within ``eps``, in the certified arithmetic.

    Distances are those of binary64. Raises LipsortError for one within its certified radius.
    """
    distance = lengths(moved.double() - inputs.double(), judge.norm)
    rows = (found & (distance <= eps)).nonzero()[:, 0]
    fooled = torch.zeros_like(found)
    if len(rows):  # not every layer of torch takes an empty batch
        fooled[rows] = judge.fooled(moved[rows].to(judge.dtype), labels[rows])
    broken = fooled & (distance <= radii) & (radii > 0)
    if bool(broken.any()):
        worst = int(broken.nonzero()[0, 0])
        raise LipsortError(
            f"soundness failure: an attack fooled {int(broken.sum())} test points inside their "
            f"certified radius (for one, {float(distance[worst]):.9g} <= {radii[worst]:.9g}); "
            "this is a defect of lipsort: please report it with the run directory"
        )
    return fooled
