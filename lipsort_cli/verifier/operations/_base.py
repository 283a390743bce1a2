"""What the modules of operations build on, in one place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bounds import chain_constant
from ..errors import Invalid, Unsupported
from ..evaluation import carry
from ..layer import Layer
from ..onnx import Builder
from ..operation import LayerBound, Operation
from ..parsing import Entry
from ..state import State

__all__ = ["Any", "Builder", "Entry", "Invalid", "Layer", "LayerBound", "NDArray", "Operation",
           "State", "Unsupported", "carry", "chain_constant", "np"]  # fmt: skip
