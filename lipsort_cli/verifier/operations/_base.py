"""What the modules of operations build on, in one place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Unsupported, require
from ..format import listing, optional
from ..graph import NATURAL, POSITIVE, Entry, Shape, anything, real
from ..operation import Layer, LayerBound, Operation, Selection
from ..state import State
from ..strictjson import parse_hex

__all__ = ["NATURAL", "POSITIVE", "Any", "Entry", "Layer", "LayerBound", "NDArray", "Operation",
           "Selection", "Shape", "State", "Unsupported", "anything", "listing", "np",
           "optional", "parse_hex", "real", "require"]  # fmt: skip
