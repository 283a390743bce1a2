"""Learning-rate schedules as functions of the share of the run that is done."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim import Optimizer

from lipsort_cli.config.learning import Schedule


def schedule_factor(
    name: str,
    progress: float,
    *,
    warmup: float = 0.0,
    milestones: Sequence[float] = (),
    gamma: float = 0.1,
) -> float:
    """Factor of the learning rate at ``progress`` in [0, 1].

    ``constant``: 1. ``cosine``: (1 + cos(pi p)) / 2. ``one_cycle``: from 1/25 up to 1 over the
    first 30 %, then a cosine to 0 (Smith 2018). ``step``: times ``gamma`` at each milestone passed.
    The first share ``warmup`` ramps up linearly, multiplied with the schedule.
    """
    if name == "constant":
        factor = 1.0
    elif name == "cosine":
        factor = (1 + math.cos(math.pi * progress)) / 2
    elif name == "one_cycle":
        if progress < 0.3:
            factor = 0.04 + 0.96 * (1 - math.cos(math.pi * progress / 0.3)) / 2
        else:
            factor = (1 + math.cos(math.pi * (progress - 0.3) / 0.7)) / 2
    elif name == "step":
        factor = gamma ** sum(progress >= milestone for milestone in milestones)
    else:
        raise ValueError(f"found schedule {name!r}; allowed are constant, cosine, one_cycle, step")
    return factor * min(1.0, progress / warmup) if warmup > 0 else factor


class Rates:
    """The learning rates of an optimizer over a run: of each group its first, times a factor.

    Args:
        optimizer: before it was restored from anything.
        config: what :func:`schedule_factor` takes.
    """

    def __init__(self, optimizer: Optimizer, config: Schedule) -> None:
        self.optimizer, self.options = optimizer, dict(vars(config))
        self.first = [float(group["lr"]) for group in optimizer.param_groups]

    def set(self, progress: float) -> None:
        """The rates at ``progress`` in [0, 1]: of a step its middle, so that neither end of a
        schedule is wasted on a zero rate."""
        factor = schedule_factor(progress=progress, **self.options)
        for group, first in zip(self.optimizer.param_groups, self.first, strict=True):
            group["lr"] = first * factor
