"""The typed configuration of the activations: the group ``activation``."""

from __future__ import annotations

from lipsort_cli.config.options import node, option
from lipsort_cli.config.registry import Option, choice


@node
class Activation(Option):
    """What every activation has."""

    @property
    def group(self) -> int:
        """Features that are sorted or compared together; 1 where any width will do."""
        return getattr(self, "group_size", 1)


@node
class GroupedActivation(Activation):
    """An activation over contiguous groups of features."""

    group_size: int = option(4, "features a group", minimum=2)


@choice("activation", "maxmin")
class MaxminActivation(Activation):
    """Sorts pairs of features: GroupSort of groups of two; preserves gradient norm."""

    @property
    def group(self) -> int:
        return 2


@choice("activation", "groupsort")
class GroupsortActivation(GroupedActivation):
    """Sorts groups of activation.group_size features; preserves gradient norm."""


@choice("activation", "fullsort")
class FullsortActivation(Activation):
    """Sorts all features of a layer; preserves gradient norm."""


@choice("activation", "relu")
class ReluActivation(Activation):
    """max(x, 0): the paper's comparison."""


@choice("activation", "leaky_relu")
class LeakyActivation(Activation):
    """max(x, slope x)."""

    slope: float = option(0.01, "slope below zero", minimum=-1, maximum=1)


@choice("activation", "absolute_value")
class AbsoluteValueActivation(Activation):
    """|x|: preserves gradient norm."""


@choice("activation", "maxout")
class MaxoutActivation(GroupedActivation):
    """The largest of each group of activation.group_size features; divides the width."""


@choice("activation", "tanh")
class TanhActivation(Activation):
    """Hyperbolic tangent."""


@choice("activation", "sigmoid")
class SigmoidActivation(Activation):
    """Logistic function."""


@choice("activation", "identity")
class IdentityActivation(Activation):
    """None: the network is affine."""
