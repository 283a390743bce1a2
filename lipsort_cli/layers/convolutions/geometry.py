"""Where a convolution's taps lie: sizes, what is allowed, and folding a stride into channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from torch import Tensor, nn

from lipsort_cli.arguments import whole
from lipsort_cli.errors import UsageError
from lipsort_cli.layers.base import misfit

PADDING_MODES = ("zeros", "circular")


@dataclass(frozen=True)
class Geometry:
    """Channels and taps of a square convolution, as ``torch.nn.Conv2d`` names them.

    Raises:
        UsageError: sizes that no convolution has; channels that ``groups`` does not divide; a
            padding other than zeros and circular, whose operator has no bound that depends on the
            kernel alone.
    """

    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    padding_mode: str = "zeros"
    dilation: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "kernel", "stride", "dilation", "groups"):
            whole(name, getattr(self, name))
        whole("padding", self.padding, 0)
        if self.padding_mode not in PADDING_MODES:
            raise UsageError(
                f"padding_mode: found {self.padding_mode!r}; allowed: {', '.join(PADDING_MODES)} "
                "(reflecting or replicating pixels lengthens vectors: no constant is known)"
            )
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise UsageError(
                f"groups: found {self.groups}, which does not divide {self.in_channels} input and "
                f"{self.out_channels} output channels"
            )

    @property
    def group_in(self) -> int:
        """Input channels of one group."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """[out, in / groups, k, k]."""
        return self.out_channels, self.group_in, self.kernel, self.kernel

    @property
    def overlap(self) -> int:
        """Along one axis, the most windows that hold the same input pixel.

        ceil(k / s), and more with a dilation that shares a factor with the stride: taps d i meet
        multiples of s only every s / gcd(d, s) taps.
        """
        return -(-self.kernel // (self.stride // gcd(self.dilation, self.stride)))

    def output_size(self, size: int) -> int:
        """Output pixels along an axis of ``size`` input pixels."""
        return (size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def check_input(self, x: Tensor) -> None:
        """Refuse an input of other channels, or that the kernel or circular padding does not fit.

        With circular padding the bound holds where windows are distinct modulo the image: where the
        stride divides the size and there are size / stride outputs.
        """
        check_channels(x, self.in_channels)
        height, width = x.shape[-2:]
        circular = self.padding_mode == "circular"
        if circular and self.padding > min(height, width):
            raise UsageError(
                f"circular padding of {self.padding} is wider than the image: found "
                f"{height}x{width} pixels; allowed: at least {self.padding} along both axes"
            )
        for size in (height, width):
            found = self.output_size(size)
            if found < 1:
                raise UsageError(
                    f"a convolution of kernel {self.kernel}, dilation {self.dilation} and padding "
                    f"{self.padding} does not fit {height}x{width} pixels"
                )
            if circular and found * self.stride != size:
                raise UsageError(
                    f"circular padding of {self.padding} with kernel {self.kernel} and stride "
                    f"{self.stride} makes {found} windows of {size} pixels; it needs a size "
                    f"divisible by the stride and size / stride windows (padding "
                    f"{self.dilation * (self.kernel - 1) // 2} for an odd kernel of stride 1)"
                )


def check_channels(x: Tensor, channels: int) -> None:
    """Refuse what is no batch of images of so many channels, nor one image; ArgumentError."""
    if x.dim() not in (3, 4) or x.shape[-3] != channels:
        raise misfit(x, f"[N, {channels}, H, W], or one image [{channels}, H, W]")


def fold(weight: Tensor, stride: int, dilation: int = 1) -> Tensor:
    """The kernel of the same operator on space_to_depth(stride): stride 1, more channels.

    Args:
        weight: [..., out, in, k, k].
        stride: s; y_n = sum_t K_t x_(s n + d t).
        dilation: d; with stride 1 it changes no norm and is left out.

    Returns:
        [..., out, in s^2, k', k'], k' = ceil((d (k - 1) + 1) / s); missing taps are zero.
    """
    if stride == 1:
        return weight
    if dilation > 1:
        *rest, k, _ = weight.shape
        wide = weight.new_zeros(*rest, dilation * (k - 1) + 1, dilation * (k - 1) + 1)
        wide[..., ::dilation, ::dilation] = weight
        weight = wide
    taps = -(-weight.shape[-1] // stride)
    missing = taps * stride - weight.shape[-1]
    weight = nn.functional.pad(weight, (0, missing, 0, missing))
    weight = weight.unflatten(-1, (taps, stride)).unflatten(-3, (taps, stride))
    # [..., in, ty, sy, tx, sx] to [..., in, sy, sx, ty, tx]
    return weight.movedim(-3, -4).movedim(-1, -3).flatten(-5, -3)


def unfold(folded: Tensor, stride: int, kernel: int) -> Tensor:
    """The inverse of :func:`fold` with dilation 1: [..., in s^2, k', k'] to [..., in, k, k]."""
    if stride == 1:
        return folded
    weight = folded.unflatten(-3, (-1, stride, stride))
    weight = weight.movedim(-3, -1).movedim(-4, -3)
    return weight.flatten(-4, -3).flatten(-2, -1)[..., :kernel, :kernel]
