"""What the modules of operations build on, in one place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Invalid, Unsupported
from ..layer import Layer, LayerBound
from ..onnx import Builder
from ..operation import Operation, Selection
from ..parsing import Entry
from ..state import State

__all__ = ["Any", "Builder", "Entry", "Invalid", "Layer", "LayerBound", "NDArray", "Operation",
           "Selection", "State", "Unsupported", "np"]  # fmt: skip
