"""Random affine maps of training images."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lipsort_cli.errors import UsageError


class Augment:
    """Shift, rotate, zoom and shear each image [N, C, H, W] at random, by bilinear sampling.

    Amplitudes are uniform up to the configured ones (``shift`` in pixels, ``rotation`` in degrees,
    ``zoom`` and ``shear`` relative); what enters from outside is 0.
    """

    def __init__(self, config: Any, input_shape: tuple[int, ...]) -> None:
        self.config = config
        self.active = any((config.shift, config.rotation, config.zoom, config.shear))
        if self.active and len(input_shape) != 3:
            raise UsageError(
                f"augmentation: found inputs of shape {list(input_shape)}; only images "
                "[channels, height, width] can be moved; leave every amplitude at 0"
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """[N, C, H, W] to the same; random numbers come from ``generator`` (on the CPU)."""
        if not self.active:
            return images
        n, _, height, width = images.shape
        uniform = torch.rand(n, 5, generator=generator) * 2 - 1
        angle = uniform[:, 0] * math.radians(self.config.rotation)
        zoom = 1 + uniform[:, 1] * self.config.zoom
        shear = uniform[:, 2] * self.config.shear
        matrix = torch.zeros(n, 2, 3)
        matrix[:, 0, 0] = zoom * angle.cos()
        matrix[:, 0, 1] = shear - angle.sin()
        matrix[:, 1, 0] = angle.sin()
        matrix[:, 1, 1] = zoom * angle.cos()
        # affine_grid counts in half images: 2 units across.
        matrix[:, 0, 2] = uniform[:, 3] * 2 * self.config.shift / width
        matrix[:, 1, 2] = uniform[:, 4] * 2 * self.config.shift / height
        matrix = matrix.to(images.device)
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)
