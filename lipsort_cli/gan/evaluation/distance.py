"""Bounds of W1 between two samples, and between what they were drawn from, by a fresh critic."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli import directed_text as words
from lipsort_cli.certificates.points import load_network
from lipsort_cli.config.activations import MaxminActivation
from lipsort_cli.config.constraints import OrthonormalConstraint
from lipsort_cli.config.learning import CosineSchedule, StiefelOptimizer
from lipsort_cli.config.models import MlpModel
from lipsort_cli.config.train import LipschitzNetwork
from lipsort_cli.config.wasserstein import CriticTraining
from lipsort_cli.training import engine
from lipsort_cli.wasserstein import bounds as found
from lipsort_cli.wasserstein.bounds import Bound, SavedCritic
from lipsort_cli.wasserstein.sources import (
    Measures,
    SamplerSource,
    rows_once,
    rows_with_replacement,
)
from lipsort_cli.wasserstein.training import make_task
from lipsort_cli.zoo import save_network

Rows = NDArray[np.float32]

_WIDTHS = [256, 256]
_BATCH = 256
_NORM = "l2"
_RANGE = 2000
"""Training points of either side that fix the range to which the critic is clipped."""


@dataclass(frozen=True)
class Sides:
    """Rows [n, d] of both sides: to train a critic on, and others that it never sees.

    For confidence bounds the unseen rows are independent draws of the two distributions, given
    everything that was trained on any others.
    """

    name: str
    trained: tuple[Rows, Rows]
    unseen: tuple[Rows, Rows]


def fresh_bounds(
    sides: Sides,
    *,
    steps: int,
    confidence: float,
    seed: int,
    device: torch.device,
    run: Path,
    certificate: Path | None = None,
) -> tuple[Bound, Bound]:
    """Lower bounds of W1 by a critic that is trained here, for ``steps`` steps, to judge ``run``.

    A proven one between the unseen samples, whose certificate goes into the folder ``certificate``
    with network and samples, and one between their distributions that holds with the given
    confidence (betting). Both rest on the proven Lipschitz bound of the critic as it was saved; in
    units of the samples, L2.

    Raises:
        Interrupted: Ctrl-C.
    """
    unseen = sides.unseen
    draws = rows_once(unseen[0]), rows_once(unseen[1])
    trained = rows_with_replacement(sides.trained[0]), rows_with_replacement(sides.trained[1])
    source = SamplerSource(sides.name, trained, draws, draws)
    # Seconds of training need no resuming: what is interrupted is done again.
    with tempfile.TemporaryDirectory() as folder:
        task = make_task(
            source,
            device,
            _network(),
            norm=_NORM,
            training=CriticTraining(
                steps=steps, batch_size=_BATCH, check_every=steps, check_points=500, patience=0
            ),
            seed=seed,
        )
        engine.run(task, engine.Session(Path(folder), "wgan", resume=run, alone=True))
        path = Path(folder) / "model.safetensors"
        save_network(task.network, path)
        critic = SavedCritic.of(load_network(path), _NORM)
        certified = None
        if certificate is not None:
            certified = found.certificate_if_small(
                certificate, path, Measures(*sides.unseen), _NORM, sides.name, "evaluation.samples"
            )
    # Fixed before any of the unseen points is looked at.
    seen = task.seen(_RANGE, np.random.default_rng([seed, 1]))
    measures = Measures(*unseen)
    f_x, f_y = critic.values(measures.x), critic.values(measures.y)
    lower = found.critic_lower(critic, f_x, f_y, measures)
    if certified is not None:
        lower = replace(lower, value=certified)
    bounds = found.confidence_lower(critic, seen, unseen, 1 - confidence)
    about = "trivial: the critic is constant", found.POPULATIONS
    nothing = Bound("lower", 0.0, words.confidence(1 - confidence), *about)
    return lower, bounds[0] if bounds else nothing


def _network() -> LipschitzNetwork:
    """The fresh critic: MaxMin between orthonormal weights, moved on the manifold."""
    layers = MlpModel(widths=_WIDTHS), MaxminActivation(), OrthonormalConstraint()
    return LipschitzNetwork(*layers, StiefelOptimizer(lr=0.05, rest_lr=0.003), CosineSchedule())
