"""``clip``: min(max(x, low), high); null for an end that is open."""

from ._base import Any, Entry, Layer, LayerBound, Node, Operation, State, np, optional, parse_hex


class Clip(Operation):
    """1-Lipschitz in every norm; the ends are float32, so it rounds nothing."""

    fields = {"low": optional(parse_hex), "high": optional(parse_hex)}

    def parse(self, entry: Entry) -> dict[str, Any]:
        low = -np.inf if entry["low"] is None else entry["low"]
        high = np.inf if entry["high"] is None else entry["high"]
        for key, end in (("low", low), ("high", high)):
            single = float(np.float32(end)) == end
            entry.supported(single, key, "expected null, or a number of float32")
        entry.require(low < high, "low", "is not below high")
        return {"numbers": (low, high)}

    def ends(self, layer: Layer) -> list[tuple[str, str, float]]:
        """Those that are not open, as nodes of ONNX."""
        ends = zip(("Max", "Min"), self.fields, layer.numbers, strict=True)
        return [end for end in ends if np.isfinite(end[2])]

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        for node, _, end in self.ends(layer):
            function = np.maximum if node == "Max" else np.minimum
            state.values = state.m.select(function, state.values, state.m.array(np.array([end])))
        state.selected(layer, bound.value)

    def onnx(self, layer: Layer) -> list[Node]:
        """Max, Min: Clip's ends would be scalars, and an open end no input at all."""
        nodes: list[Node] = [
            (node, {key: np.array([end], dtype=np.float32)}, {})
            for node, key, end in self.ends(layer)
        ]
        return nodes or [("Identity", {}, {})]
