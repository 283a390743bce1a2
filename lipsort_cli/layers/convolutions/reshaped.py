"""Convolutions whose kernel, reshaped to a matrix, is in a constraint set of dense weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lipsort_cli.layers.base import matrix_norm_bound
from lipsort_cli.layers.constraints import Constraint, Orthonormal
from lipsort_cli.layers.convolutions.base import Convolution


class ReshapedConvolution(Convolution):
    """K = c * reshape(W), W [out, in k k] in a constraint set, c = 1 / ceil(k / s) for L2 sets.

    A window of the image times W is the output at a pixel; a pixel is in up to ceil(k / s) windows
    along each axis, so cutting the image into windows has norm ceil(k / s), and the layer c times
    this times ||W||_2. With a kernel equal to the stride (patches) the windows are disjoint, c is 1
    and an orthonormal W keeps the norm of the gradient; with larger kernels the factor is a bound
    that is seldom reached: :class:`OrthogonalConvolution` has none. In L-infinity, the norm is the
    largest absolute row sum of W, whatever the windows; c is 1 for sets that bound it, and for no
    set at all.

    Args: as :class:`Convolution`; ``constraint`` makes a fresh set for each group's matrix
        [out / groups, in / groups k k] and is :class:`Orthonormal` where not given.

    Example:
        >>> patches = ReshapedConvolution(1, 16, 4, stride=4)
        >>> patches.factor
        1.0
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        constraint: Callable[[], Constraint] = Orthonormal,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, **options)
        shape = self.geometry
        self.constraints = nn.ModuleList(constraint() for _ in range(shape.groups))
        self.factor = 1 / shape.overlap if self._sets[0].bounds == "l2" else 1.0
        self.parts = nn.ParameterList()
        with torch.no_grad():
            for one in self._sets:
                weight = one.sample(shape.group_out, shape.group_in * kernel**2)
                self.parts.append(nn.Parameter(one.right_inverse(weight).clone()))

    @property
    def _sets(self) -> list[Constraint]:
        return [one for one in self.constraints if isinstance(one, Constraint)]

    def matrices(self) -> list[Tensor]:
        """Each group's constrained W [out / groups, in / groups k k]."""
        return [one(part) for one, part in zip(self._sets, self.parts, strict=True)]

    def kernel(self) -> Tensor:
        weight = torch.cat(self.matrices()).view(self.geometry.weight_shape)
        return weight if self.factor == 1.0 else weight * self.factor

    def constrained(self) -> Sequence[tuple[Constraint, nn.Parameter]]:
        """Each group's matrix and its set."""
        return list(zip(self._sets, self.parts, strict=True))

    @torch.no_grad()
    def lipschitz(self, norm: str) -> float:
        if norm != "l2":
            return super().lipschitz(norm)
        shape = self.geometry
        # The kernel as it is rounded: the scaled matrix, not the matrix and its scale.
        weight = self.weight.view(shape.groups, shape.group_out, -1)
        by_windows = shape.overlap * max(matrix_norm_bound(one, "l2") for one in weight)
        # Disjoint windows: nothing is tighter.
        return by_windows if shape.overlap == 1 else min(by_windows, super().lipschitz(norm))
