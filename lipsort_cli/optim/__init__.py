"""Optimizers on the constraint sets."""

from lipsort_cli.optim.build import build_optimizer, keep_constraints
from lipsort_cli.optim.eager import uncompiled
from lipsort_cli.optim.optimizer import AggMo, Combined, Stiefel, StiefelAdam, adam
from lipsort_cli.optim.schedules import Rates, schedule_factor

uncompiled()

__all__ = [
    "AggMo",
    "Combined",
    "Rates",
    "Stiefel",
    "StiefelAdam",
    "adam",
    "build_optimizer",
    "keep_constraints",
    "schedule_factor",
]
