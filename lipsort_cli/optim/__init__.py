"""Optimizers on the constraint sets."""

from lipsort_cli.optim.build import build_optimizer
from lipsort_cli.optim.optimizer import Stiefel
from lipsort_cli.optim.schedules import build_schedule, schedule_factor

__all__ = ["Stiefel", "build_optimizer", "build_schedule", "schedule_factor"]
