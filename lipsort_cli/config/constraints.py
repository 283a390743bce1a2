"""The typed configuration of the constraint sets: the group ``constraint``."""

from __future__ import annotations

from dataclasses import dataclass

from lipsort_cli.config.options import REQUIRED, option


@dataclass
class Constraint:
    """A constraint set without parameters."""

    name: str = REQUIRED


@dataclass
class BjorckConstraint:
    """Orthonormal weights through differentiable Bjorck iterations."""

    name: str = "bjorck"
    order: int = option(1, "order of the Taylor polynomial", minimum=1, maximum=4)
    iterations: int = option(20, "iterations a forward pass", minimum=1)
    loose_iterations: int | None = option(
        None, "iterations until fine-tuning begins; null: as many as ever", minimum=1
    )
    loose_share: float = option(
        0.8, "share of the steps before fine-tuning begins", minimum=0, maximum=1
    )


@dataclass
class SpectralConstraint:
    """Largest singular value at most 1: power iteration; for convolutions an upper bound."""

    name: str = "spectral"
    iterations: int = option(
        1, "power iterations a step; convolutions square that often and 4 times more", minimum=1
    )


@dataclass
class LinfConstraint:
    """Absolute row sums at most 1."""

    name: str = "linf"
    method: str = option("softmax", "how rows are kept inside", choices=["softmax", "projection"])
    sharpness: float = option(4.0, "standard deviation of the first logits (softmax)", above=0)


@dataclass
class ParsevalConstraint:
    """One Bjorck step after every update: near-orthonormal."""

    name: str = "parseval"
    beta: float = option(0.5, "step of the retraction", above=0, maximum=0.5)


CONSTRAINTS: dict[str, type] = {
    "orthonormal": Constraint,
    "bjorck": BjorckConstraint,
    "spectral": SpectralConstraint,
    "aol": Constraint,
    "linf": LinfConstraint,
    "parseval": ParsevalConstraint,
    "none": Constraint,
}
"""The group ``constraint``."""
