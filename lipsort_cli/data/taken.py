"""What a trained network takes, as its run says: what new data are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Taken:
    """What a network takes: shape and units of its inputs, names of classes and of columns.

    ``classes`` are numbers where the data had no names, ``features`` empty where columns had none.
    ``pixels``: inputs were stored as levels, divided by ``full_scale``; ``low`` and ``high`` bound
    the training inputs, as far as they are known.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...] = ()
    pixels: bool = False
    full_scale: int | None = None
    channels_last: bool = False
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def of(cls, recorded: Any, shape: tuple[int, ...], classes: int) -> Taken:
        """From the fingerprint ``data`` in ``run.json``; else from the network alone: floats."""
        found = recorded or {}
        inputs = {"shape": shape, **found.get("inputs", {})}
        inputs["shape"] = tuple(inputs["shape"])
        names = found.get("classes") or map(str, range(classes))
        return cls(classes=tuple(names), features=tuple(found.get("features", ())), **inputs)

    @property
    def unit(self) -> bool:
        """Whether training inputs were in [0, 1], stored as pixels or not."""
        return self.pixels or (self.low >= 0 and self.high <= 1)
