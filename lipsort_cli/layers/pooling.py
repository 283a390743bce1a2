"""Downsampling and reshaping of images, each with its true constant.

Pooling windows of k pixels every s pixels hold a pixel up to ceil(k / s) times along an axis. Where
the windows are disjoint, or k = s, nothing of this is lost.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import whole
from lipsort_cli.devices import without_autocast
from lipsort_cli.errors import UsageError
from lipsort_cli.layers.base import in_norm


class SpaceToDepth(nn.PixelUnshuffle):
    """[N, C, H, W] to [N, C b^2, H / b, W / b]: moves pixels into channels; constant 1, no loss."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__(whole("downscale_factor", downscale_factor))

    def forward(self, x: Tensor) -> Tensor:
        """Refuses sizes that the block does not divide."""
        block = self.downscale_factor
        if x.shape[-1] % block or x.shape[-2] % block:
            raise UsageError(
                f"space_to_depth: found {x.shape[-2]}x{x.shape[-1]} pixels, which blocks of "
                f"{block} do not divide"
            )
        return super().forward(x)

    def lipschitz(self, norm: str) -> float:
        return 1.0


class DepthToSpace(nn.PixelShuffle):
    """[N, C b^2, H, W] to [N, C, H b, W b]: the inverse of :class:`SpaceToDepth`; constant 1."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__(whole("upscale_factor", upscale_factor))

    def lipschitz(self, norm: str) -> float:
        return 1.0


class Pool(nn.Module):
    """Windows of ``kernel`` pixels every ``stride`` pixels (as ``kernel`` where not given).

    Shapes: [N, C, H, W] to [N, C, H', W'] with H' = (H - k) // s + 1; no padding.
    """

    def __init__(self, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel = whole("kernel", kernel)
        self.stride = self.kernel if stride is None else whole("stride", stride)

    @property
    def overlap(self) -> int:
        """ceil(k / s): windows that hold the same pixel along one axis, at most."""
        return -(-self.kernel // self.stride)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"


class AveragePool(Pool):
    """The mean of each window, times ``scale``.

    Constant in L2: scale ceil(k / s) / k, which is 1 / k for disjoint windows. ``normalized`` takes
    scale = k / ceil(k / s), so that it is 1: half as much of the image is lost. In the plain form
    the scale is an operation of its own.
    """

    def __init__(self, kernel: int, stride: int | None = None, normalized: bool = False) -> None:
        super().__init__(kernel, stride)
        self.scale = self.kernel / self.overlap if normalized else 1.0

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.avg_pool2d(x, self.kernel, self.stride)
        return pooled if self.scale == 1.0 else pooled * self.scale

    def lipschitz(self, norm: str) -> float:
        return self.scale * in_norm(
            norm, l2=self.overlap / self.kernel, linf=1.0, l1=(self.overlap / self.kernel) ** 2
        )


class MaxPool(Pool):
    """The largest of each window; constant ceil(k / s) in L2: 1 for disjoint windows."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(x, self.kernel, self.stride)

    def lipschitz(self, norm: str) -> float:
        return in_norm(norm, l2=float(self.overlap), linf=1.0, l1=float(self.overlap**2))


class L2Pool(Pool):
    """The Euclidean length of each window: sqrt(sum x^2), gradient 0 where it is 0.

    Constant ceil(k / s) in L2; it keeps the norm of the gradient for disjoint windows. In
    L-infinity the constant is k, the length of a window of ones.
    """

    def forward(self, x: Tensor) -> Tensor:
        # Squares under autocast's bfloat16 would lose half their digits.
        with without_autocast(x.device):
            values = x if x.dtype == torch.double else x.float()
            total = nn.functional.avg_pool2d(
                values.square(), self.kernel, self.stride, divisor_override=1
            )
            # The double where keeps the gradient of sqrt at 0 finite.
            empty = total == 0
            root = torch.where(empty, torch.ones_like(total), total).sqrt()
            return torch.where(empty, torch.zeros_like(total), root)

    def lipschitz(self, norm: str) -> float:
        return in_norm(
            norm, l2=float(self.overlap), linf=float(self.kernel), l1=float(self.overlap**2)
        )
