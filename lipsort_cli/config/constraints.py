"""The typed configuration of the constraint sets: the group ``constraint``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lipsort_cli.config.options import node, option
from lipsort_cli.config.registry import GROUPS, Option, choice


@node
class Constraint(Option):
    """What every constraint set has."""

    norm: ClassVar[str | None] = "l2"
    """Norm in which it bounds a layer; None: in none."""
    made_by: ClassVar[str] = ""
    """Class or function that makes it of its other fields, as ``MODULE:NAME``."""
    first_made_by: ClassVar[str] = ""
    """That of a network's first layer, where it is another."""


@choice("constraint", "orthonormal")
class OrthonormalConstraint(Constraint):
    """Rows or columns orthonormal, kept so by the optimizer (L2)."""

    made_by: ClassVar[str] = "layers.constraints.orthonormal:Orthonormal"


@choice("constraint", "bjorck", presets=("bjorck_authors",))
class BjorckConstraint(Constraint):
    """Orthonormal through differentiable Bjorck iterations in every forward pass (L2)."""

    made_by: ClassVar[str] = "layers.constraints.bjorck:Bjorck"
    order: int = option(1, "order of the Taylor polynomial", minimum=1, maximum=4)
    iterations: int = option(20, "iterations a forward pass", minimum=1)
    loose_iterations: int | None = option(
        None, "iterations until fine-tuning begins; null: as many as ever", minimum=1
    )
    loose_share: float = option(
        0.8, "share of the steps before fine-tuning begins", minimum=0, maximum=1
    )
    scaling: str = option(
        "norm",
        "what the weight is divided by first: norm, an upper bound of its own; size, "
        "sqrt(out * in) as in the authors' code, which leaves singular values below 1",
        choices=["norm", "size"],
    )


@choice("constraint", "spectral")
class SpectralConstraint(Constraint):
    """Divided by the largest singular value, always (L2).

    Which power iteration finds, for convolutions an upper bound.
    """

    made_by: ClassVar[str] = "layers.constraints.spectral:Spectral"
    iterations: int = option(
        1, "power iterations a step; convolutions square that often and 4 times more", minimum=1
    )


@choice("constraint", "spectral_ball")
class SpectralBallConstraint(SpectralConstraint):
    """Divided by the largest singular value where that is above 1 (L2)."""

    made_by: ClassVar[str] = "layers.constraints.spectral:SpectralBall"


@choice("constraint", "aol")
class AolConstraint(Constraint):
    """Rescaled by Gershgorin's circles: almost orthogonal, nothing iterated (L2)."""

    made_by: ClassVar[str] = "layers.constraints.aol:Aol"


@choice("constraint", "linf")
class LinfConstraint(Constraint):
    """Absolute row sums at most 1 (L-infinity)."""

    made_by: ClassVar[str] = "layers.constraints.linf:make_linf"
    method: str = option(
        "softmax",
        "how rows are kept inside; projection: after each step; forward: in each forward pass",
        choices=["softmax", "projection", "forward"],
    )
    sharpness: float = option(4.0, "standard deviation of the first logits (softmax)", above=0)
    norm: ClassVar[str | None] = "linf"

    def warnings(self) -> Iterator[str]:
        """A key that the other method does not read."""
        if self.method != "softmax" and self.sharpness != type(self).sharpness:
            yield (
                f"constraint.sharpness={self.sharpness:g} has no effect with "
                f"constraint.method={self.method}; it shapes constraint.method=softmax"
            )


@choice("constraint", "mixed")
class MixedConstraint(Constraint):
    """First layer from L2 to L-infinity, the others L-infinity: the paper's universal class (L2).

    Rows of L2 norm at most 1, then of absolute sum at most 1, projected in each forward pass.
    """

    made_by: ClassVar[str] = "layers.constraints.linf:LinfForward"
    first_made_by: ClassVar[str] = "layers.constraints.linf:RowsL2"


@choice("constraint", "parseval")
class ParsevalConstraint(Constraint):
    """One Bjorck step after each update: nearly orthonormal; the paper's comparison (L2)."""

    made_by: ClassVar[str] = "layers.constraints.parseval:Parseval"
    beta: float = option(0.5, "step of the retraction", above=0, maximum=0.5)


@choice("constraint", "none", commands=("train",))
class NoConstraint(Constraint):
    """No constraint: the paper's comparison."""

    made_by: ClassVar[str] = "layers.constraints.unconstrained:Unconstrained"
    norm: ClassVar[str | None] = None


def of_norm(norm: str) -> list[str]:
    """The constraint sets that bound a layer in ``norm``."""
    return [n for n, kind in GROUPS["constraint"].items() if kind.norm == norm]  # type: ignore[attr-defined]
