"""Jacobian, gradient and activity of a network while it is trained, for those who ask for them."""

from __future__ import annotations

from typing import Any

import torch

from lipsort_cli.data.dataset import Dataset
from lipsort_cli.inspection import diagnostics
from lipsort_cli.inspection.diagnostics import SPLIT
from lipsort_cli.runs import MetricsLog
from lipsort_cli.training.tensorboard import TensorBoardLog
from lipsort_cli.zoo import Network


class Diagnosis:
    """Logs :func:`lipsort_cli.inspection.diagnostics` every so many steps, from step 0 to the last.

    The points are the first of the validation set, or of the training set where none is held out.
    Nothing random is drawn and no weight moves: a run has the same weights with it and without.
    """

    def __init__(self, config: Any, dataset: Dataset, device: torch.device) -> None:
        self.every = config.training.diagnostics_every
        self.norm = config.evaluation.norm
        points = dataset.validation if len(dataset.validation) else dataset.train
        count = config.training.diagnostics_points
        self.inputs = points.inputs[:count].to(device)
        self.labels = points.labels[:count].to(device)

    def report(
        self,
        network: Network,
        log: MetricsLog,
        board: TensorBoardLog,
        *,
        epoch: int,
        step: int,
        last: int,
    ) -> None:
        """Measure ``network`` after ``step`` steps of ``last``, where that is due."""
        if not self.every or (step % self.every and step != last):
            return
        values = diagnostics(network, self.inputs, self.labels, self.norm)
        log.log(epoch=epoch, step=step, split=SPLIT, **values)
        board.log(SPLIT, step, values)
