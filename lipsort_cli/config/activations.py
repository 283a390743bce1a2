"""The typed configuration of the activations: the group ``activation``."""

from __future__ import annotations

from dataclasses import dataclass

from lipsort_cli.config.options import REQUIRED, option
from lipsort_cli.config.registry import choice


@dataclass
class Activation:
    """What every activation has."""

    name: str = REQUIRED

    @property
    def group(self) -> int:
        """Features that are sorted or compared together; 1 where any width will do."""
        return 1


@dataclass
class GroupedActivation(Activation):
    """An activation over contiguous groups of features."""

    group_size: int = option(4, "features a group", minimum=2)

    @property
    def group(self) -> int:
        """Features that are sorted or compared together."""
        return self.group_size


@choice("activation")
@dataclass
class MaxminActivation(Activation):
    """Sorts pairs of features: GroupSort of groups of two; preserves gradient norm."""

    name: str = "maxmin"

    @property
    def group(self) -> int:
        """Features that are sorted together."""
        return 2


@choice("activation")
@dataclass
class GroupsortActivation(GroupedActivation):
    """Sorts groups of activation.group_size features; preserves gradient norm."""

    name: str = "groupsort"


@choice("activation")
@dataclass
class FullsortActivation(Activation):
    """Sorts all features of a layer; preserves gradient norm."""

    name: str = "fullsort"


@choice("activation")
@dataclass
class ReluActivation(Activation):
    """max(x, 0): the paper's comparison."""

    name: str = "relu"


@choice("activation")
@dataclass
class LeakyActivation(Activation):
    """max(x, slope x)."""

    name: str = "leaky_relu"
    slope: float = option(0.01, "slope below zero", minimum=-1, maximum=1)


@choice("activation")
@dataclass
class AbsoluteValueActivation(Activation):
    """|x|: preserves gradient norm."""

    name: str = "absolute_value"


@choice("activation")
@dataclass
class MaxoutActivation(GroupedActivation):
    """The largest of each group of activation.group_size features; divides the width."""

    name: str = "maxout"


@choice("activation")
@dataclass
class TanhActivation(Activation):
    """Hyperbolic tangent."""

    name: str = "tanh"


@choice("activation")
@dataclass
class SigmoidActivation(Activation):
    """Logistic function."""

    name: str = "sigmoid"


@choice("activation")
@dataclass
class IdentityActivation(Activation):
    """None: the network is affine."""

    name: str = "identity"
