"""Random affine maps and mirror images of training images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from lipsort_cli.config.train import Augmentation
from lipsort_cli.devices import sent
from lipsort_cli.errors import UsageError

_KNOTS_APART = 7
"""Pixels between knots of an elastic deformation."""


class Augment:
    """Shift, rotate, zoom, shear and mirror each image [N, C, H, W] at random.

    Amplitudes are uniform up to the configured ones (``shift`` in pixels, ``rotation`` in degrees,
    ``zoom`` and ``shear`` relative). ``elastic`` moves the knots of a grid some 7 pixels wide, each
    for itself, by up to so many pixels along each axis, and what lies between them in proportion
    (after Simard et al. 2003). Between pixels images are read by bilinear ``sampling``, which
    smooths a little, or at the nearest pixel, which makes no level that was not there: a network
    trained for its worst case in L-infinity loses the greys that smoothing puts around strokes.
    ``crop`` shifts by whole pixels up to so many along each axis. What enters from outside is 0.
    With ``flip``, each image is mirrored left to right with probability 1/2.

    A network of known constant has little room, and spends some of it on images that are moved
    further than those it is judged by: the ``plain`` epochs at the end, where steps are short, give
    it back.
    """

    def __init__(self, config: Augmentation, input_shape: tuple[int, ...]) -> None:
        self.config = config
        self.active = config.moves or config.flip or config.crop > 0
        if self.active and len(input_shape) != 3:
            raise UsageError(
                f"augmentation: found inputs of shape {list(input_shape)}; only images "
                "[channels, height, width] can be moved; leave every amplitude at 0 and flip false"
            )

    def __call__(self, images: Tensor, generator: torch.Generator, *, moved: bool = True) -> Tensor:
        """[N, C, H, W] to the same; random numbers come from ``generator`` (on the CPU).

        Without ``moved`` they are mirrored at most.
        """
        if moved and self.config.moves:
            images = self._moved(images, generator)
        if moved and self.config.crop:
            images = _cropped(images, self.config.crop, generator)
        if self.config.flip:
            mirrored = torch.rand(len(images), generator=generator) < 0.5
            mirrored = sent(mirrored, images.device)[:, None, None, None]
            images = torch.where(mirrored, images.flip(3), images)
        return images

    def _moved(self, images: Tensor, generator: torch.Generator) -> Tensor:
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
        matrix = sent(matrix, images.device)
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        if self.config.elastic:
            grid = grid + sent(self._bent(n, height, width, generator), images.device)
        return functional.grid_sample(images, grid, mode=self.config.sampling, align_corners=False)

    def _bent(self, n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """Displacements [n, height, width, 2] in half images, along x and y."""
        down, across = _hats(height), _hats(width)
        field = torch.rand(n, 2, down.shape[1], across.shape[1], generator=generator) * 2 - 1
        smooth = down @ field @ across.mT  # several times quicker than torch's interpolation
        halves = torch.tensor([width, height], dtype=smooth.dtype) / 2
        return smooth.permute(0, 2, 3, 1) * (self.config.elastic / halves)


def _hats(side: int) -> Tensor:
    """[side, knots]: a pixel's share of each knot; knots lie evenly from end to end."""
    knots = max(2, 1 + round(side / _KNOTS_APART))
    places = torch.linspace(0, knots - 1, side)[:, None]
    return (1 - (places - torch.arange(knots)).abs()).clamp_min(0)


def _cropped(images: Tensor, margin: int, generator: torch.Generator) -> Tensor:
    """Images [N, C, H, W] with ``margin`` zeros around them, cut back to [H, W] anywhere."""
    n, _, height, width = images.shape
    rows, columns = sent(torch.randint(2 * margin + 1, (2, n), generator=generator), images.device)
    windows = functional.pad(images, [margin] * 4).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(n, device=images.device), :, rows, columns]
