"""``normalize``: (x - mean) / std, one value a channel or one for all."""

from fractions import Fraction

from ..parsing import RANGE
from ..strictjson import parse_hex
from ._base import (
    Any,
    Builder,
    Entry,
    Invalid,
    Layer,
    LayerBound,
    Operation,
    State,
    Unsupported,
    np,
)


class Normalize(Operation):
    """The constant is 1 / (smallest std) in every norm."""

    fields = ("mean", "std")
    methods = ("largest 1/std",)

    def parse(self, entry: Entry) -> dict[str, Any]:
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
        numbers, half = [value.hex() for value in layer.numbers], len(layer.numbers) // 2
        return {"mean": numbers[:half], "std": numbers[half:]}

    def constant(self, layer: Layer, norm: str, m: Any) -> Any:
        smallest = min(layer.numbers[len(layer.numbers) // 2 :])
        return m.upper(1 / Fraction(smallest))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        """Six roundings cover (x - m) / s, (x - m) * (1/s) and x/s - m/s, constants rounded too."""
        m, pairs = state.m, np.array(layer.numbers, dtype=np.float64).reshape(2, -1)
        pairs = np.repeat(pairs, layer.inputs // pairs.shape[1], axis=1)
        mean, std = m.array(pairs[0]), m.array(pairs[1])
        sizes = m.norm(m.enlarge(m.divide(abs(state.values) + abs(mean), std), 4), state.norm)
        state.values = m.divide(state.values - mean, std)
        small, reach = 8 * (1 + 2 / float(pairs[1].min())), max(1.0, float(pairs[1].max()))
        state.rounded(layer, bound.value, sizes, 6, small, reach=reach)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        half = len(layer.numbers) // 2
        if len(layer.shape) == 1 and half not in (1, layer.inputs):
            raise Unsupported(layer.place, "found channels in a flat state, which ONNX has not")
        shape = (half,) if half == 1 else (half,) + (1,) * (len(layer.shape) - 1)
        mean, std = np.array(layer.numbers, dtype=np.float32).reshape(2, *shape)
        builder.node("Sub", builder.constant(layer, "mean", mean))
        builder.node("Div", builder.constant(layer, "std", std), output=output)
