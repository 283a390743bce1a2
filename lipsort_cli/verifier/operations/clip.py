"""``clip``: min(max(x, low), high); null for an end that is open."""

from ._base import Any, Entry, Layer, LayerBound, Operation, State, np, optional, parse_hex


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

    def step(self, layer: Layer, state: State, bound: LayerBound) -> None:
        for function, end in zip((np.maximum, np.minimum), layer.numbers, strict=True):
            if np.isfinite(end):
                ends = state.m.array(np.array([end]))
                state.values = state.m.select(function, state.values, ends)
        state.selected(layer, bound.value)
