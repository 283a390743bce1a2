"""``clip``: min(max(x, low), high); null for an end that is open."""

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


class Clip(Operation):
    """1-Lipschitz in every norm; the ends are float32, so it rounds nothing."""

    fields = ("low", "high")

    def parse(self, entry: Entry) -> dict[str, Any]:
        ends = []
        for key, missing in (("low", -np.inf), ("high", np.inf)):
            text, at = entry.fields[key], f"{entry.at}.{key}"
            end = missing if text is None else parse_hex(text, at)
            if text is not None and float(np.float32(end)) != end:
                raise Unsupported(at, "expected null, or a number of float32")
            ends.append(end)
        if ends[0] >= ends[1]:
            raise Invalid(f"{entry.at}.low", "is not below high")
        return {"numbers": tuple(ends)}

    def describe(self, layer: Layer) -> dict[str, Any]:
        ends = [end.hex() if np.isfinite(end) else None for end in layer.numbers]
        return dict(zip(self.fields, ends, strict=True))

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        for end, function in zip(layer.numbers, (np.maximum, np.minimum), strict=True):
            if np.isfinite(end):
                constant = state.m.array(np.array([end]))
                state.values = state.m.select(function, state.values, constant)
        state.selected(layer, bound.value)

    def onnx(self, layer: Layer, builder: Builder, output: str) -> None:
        """Max, Min: Clip's ends would be scalars, and an open end no input at all."""
        ends = zip(("Max", "Min"), self.fields, layer.numbers, strict=True)
        kept = [(node, key, end) for node, key, end in ends if np.isfinite(end)]
        if not kept:
            builder.node("Identity", output=output)
        for place, (node, key, end) in enumerate(kept, 1):
            constant = builder.constant(layer, key, np.array([end], dtype=np.float32))
            builder.node(node, constant, output=output if place == len(kept) else "")
