"""Optimizers on the constraint sets."""

from lipsort_cli.optim.build import build_optimizer, keep_constraints
from lipsort_cli.optim.optimizer import AggMo, Combined, Stiefel, StiefelAdam, adam
from lipsort_cli.optim.schedules import build_schedule, schedule_factor

__all__ = [
    "AggMo",
    "Combined",
    "Stiefel",
    "StiefelAdam",
    "adam",
    "build_optimizer",
    "build_schedule",
    "keep_constraints",
    "schedule_factor",
]
