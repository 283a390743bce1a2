"""The averaged generator: smoother than the last one, and the one that is used."""

from __future__ import annotations

import copy

import torch

from lipsort_cli.zoo.generators import Generator


class Average:
    """An exponential moving average of a generator's weights and batch statistics.

    w <- d w + (1 - d) v after every generator step, with d = min(decay, (1 + t) / (10 + t)) so that
    the first, random weights are forgotten early. With decay 0 it is the generator itself.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self.decay = decay
        self.generator = copy.deepcopy(generator).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, generator: Generator, step: int) -> None:
        """Take the weights of ``generator`` after its step number ``step`` (from 0) in."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        own, new = self.generator.state_dict(), generator.state_dict()
        for key, value in own.items():
            if value.is_floating_point():
                value.lerp_(new[key], 1 - decay)
            else:
                value.copy_(new[key])  # the number of batches seen
