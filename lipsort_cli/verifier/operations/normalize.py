"""``normalize``: (x - mean) / std, one value a channel or one for all; largest 1 / std."""

from fractions import Fraction

from ._base import Any, Entry, Layer, LayerBound, Operation, State, listing, np, real

SMALLEST = 2.0**-60  # standard deviations are no less


class Normalize(Operation):
    fields = {"mean": listing(real), "std": listing(real)}
    methods = ("largest 1/std",)

    def parse(self, entry: Entry) -> dict[str, Any]:
        # A flattened image still has its channels, each a run of components.
        shape, of = entry.shape, entry.channels
        channels = of if len(shape) == 1 and shape[0] % of == 0 else shape[0]
        mean, std = entry["mean"], entry["std"]
        for key in self.fields:
            reason = f"expected a list of 1 or {channels} numbers"
            entry.require(len(entry[key]) in (1, channels), key, reason)
        entry.require(len(mean) == len(std), "", "mean and std differ in length")
        entry.supported(min(std) >= SMALLEST, "std", f"a number below {SMALLEST:g}")
        return {"numbers": (*mean, *std)}

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
