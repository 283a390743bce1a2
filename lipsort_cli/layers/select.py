"""Numbers moved, repeated, left out, or set to zero."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import shown
from lipsort_cli.errors import ArgumentError
from lipsort_cli.layers.base import in_norm


class Select(nn.Module):
    """y_i = x_(p_i), or 0 where p_i is -1; x flattened, y of shape ``shape``.

    An input chosen at most m times makes the constant sqrt(m) in L2, m in L1; 1 in L-infinity.
    """

    places: Tensor

    def __init__(self, places: Tensor, shape: Sequence[int]) -> None:
        """``places`` int64 [prod(shape)]."""
        super().__init__()
        # A file of weights holds them as floats.
        known = isinstance(places, Tensor) and bool(((places >= -1) & (places % 1 == 0)).all())
        if not known or places.numel() != math.prod(shape):
            raise ArgumentError(
                f"places: found {shown(places)} for the shape {list(shape)}; allowed: a tensor of "
                f"{math.prod(shape)} whole numbers, at least -1"
            )
        self.register_buffer("places", places.long().flatten())
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] to [N, *shape]."""
        padded = nn.functional.pad(x.flatten(1), (0, 1))
        return padded[:, self.places].unflatten(1, self.shape)

    def lipschitz(self, norm: str) -> float:
        most = int(torch.bincount(self.places[self.places >= 0], minlength=1).max())
        return in_norm(norm, l2=math.sqrt(most), linf=float(most > 0), l1=float(most))
