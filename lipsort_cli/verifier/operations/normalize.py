"""``normalize``: (x - mean) / std, one value a channel or one for all."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.layer import Layer
from lipsort_cli.verifier.onnx import Builder
from lipsort_cli.verifier.operation import LayerBound, Operation
from lipsort_cli.verifier.parsing import RANGE, Entry
from lipsort_cli.verifier.state import State
from lipsort_cli.verifier.strictjson import parse_hex


class Normalize(Operation):
    """The constant is 1 / (smallest std) in every norm."""

    fields = ("mean", "std")
    methods = ("largest 1/std",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        """Two lists of one number, or of one a channel."""
        # A flattened image still has its channels, each a run of components.
        shape, of = entry.shape, entry.parser.channels
        channels = of if len(shape) == 1 and shape[0] % of == 0 else shape[0]
        columns = []
        for key in self.fields:
            values = entry.fields[key]
            if not isinstance(values, list) or len(values) not in (1, channels):
                raise Invalid(f"{entry.at}.{key}", f"expected a list of 1 or {channels} numbers")
            columns.append([parse_hex(value, f"{entry.at}.{key}") for value in values])
        mean, std = columns
        if len(mean) != len(std):
            raise Invalid(entry.at, "mean and std differ in length")
        if max(map(abs, mean)) > RANGE or min(std) < 1 / RANGE or max(std) > RANGE:
            reason = f"mean beyond {RANGE:g}, or std outside [1/{RANGE:g}, {RANGE:g}]"
            raise Unsupported(entry.at, reason)
        return {"numbers": (*mean, *std)}

    def describe(self, layer: Layer) -> dict[str, Any]:
        """Two lists of numbers."""
        half = len(layer.numbers) // 2
        mean, std = layer.numbers[:half], layer.numbers[half:]
        return {"mean": [value.hex() for value in mean], "std": [value.hex() for value in std]}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        """1 / (smallest std)."""
        smallest = min(layer.numbers[len(layer.numbers) // 2 :])
        return m.upper(1 / Fraction(smallest))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Six roundings cover (x - m) / s, (x - m) * (1/s) and x/s - m/s, constants rounded too."""
        m = state.m
        numbers = _components(layer)
        mean, std = m.array(numbers[0]), m.array(numbers[1])
        sizes = m.norm(m.enlarge(m.divide(abs(state.values) + abs(mean), std), 4), state.norm)
        state.values = m.divide(state.values - mean, std)
        small = 8 * (1 + 2 / float(numbers[1].min()))
        reach = max(1.0, float(numbers[1].max()))
        state.rounded(layer, bound.value, sizes, 6, small, reach=reach)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Sub, Div."""
        half = len(layer.numbers) // 2
        shape = (half,) if half == 1 else (half,) + (1,) * (len(layer.shape) - 1)
        if len(layer.shape) == 1 and half not in (1, layer.inputs):
            raise Unsupported(layer.place, "found channels in a flat state, which ONNX has not")
        mean, std = np.array(layer.numbers, dtype=np.float32).reshape(2, *shape)
        builder.node("Sub", builder.constant(layer, "mean", mean))
        builder.node("Div", builder.constant(layer, "std", std), output=output)


def _components(layer: Layer) -> NDArray[np.float64]:
    """Mean and standard deviation of every input component, ``[2, n]``."""
    pairs = np.array(layer.numbers, dtype=np.float64).reshape(2, -1)
    return np.repeat(pairs, layer.inputs // pairs.shape[1], axis=1)


OPERATION = Normalize()
