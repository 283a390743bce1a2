"""Checks that sound bounds pass and that each mutant of the bound code must fail.

Every check takes ``load``, which gives a module of the verifier (or of a mutated copy of it).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

Load = Callable[[str], Any]


def network(load: Load, layers: list[dict[str, Any]], shape: list[int], classes: int = 0) -> Any:
    """Build a network whose entries carry arrays; ``classes``: where no dense layer says."""
    tensors, entries = {}, []
    width = classes
    for index, layer in enumerate(layers):
        entry = dict(layer)
        if "weight" in entry:
            weight = np.asarray(entry["weight"], dtype=np.float32)
            tensors[f"layers.{index}.weight"] = weight
            entry["weight"] = f"layers.{index}.weight"
            bias = entry.get("bias")
            entry["bias"] = None if bias is None else f"layers.{index}.bias"
            if bias is not None:
                tensors[f"layers.{index}.bias"] = np.asarray(bias, dtype=np.float32)
            width = len(weight)
        entries.append(entry)
    graph = {
        "format": "lipsort-graph",
        "version": 1,
        "input_shape": shape,
        "classes": width,
        "layers": entries,
    }
    return load("graph").build_network(graph, tensors)


def radius(
    load: Load, net: Any, x: Any, label: int, norm: str = "l2", arithmetic: Any = "real"
) -> float:
    """The largest radius of one point that is judged proven, closely; 0.0 without any."""
    kind = load("rounding").ARITHMETICS[arithmetic] if isinstance(arithmetic, str) else arithmetic
    route = load("search").find_route(net, norm)
    lowest, step, ladder = 0.0, 0.0, 2.0 ** np.arange(-500, 64)
    for _ in range(6):
        points = np.tile(np.asarray(x, dtype=np.float32), (len(ladder), 1))
        points = points.reshape(-1, *net.input_shape)
        labels = np.full(len(ladder), label)
        machine = load("rounding").Binary64()
        claim = norm, kind, [route], np.zeros(len(ladder), int)
        claims = load("radii").Claims(points, labels, ladder, *claim)
        verdicts, _ = claims.judge(net, np.arange(len(ladder)), machine)
        proven = np.flatnonzero(verdicts == 1)
        if not len(proven):
            return float(lowest)
        lowest = ladder[proven[-1]]
        step = step / 50 or lowest
        ladder = lowest + np.arange(51) * step / 50
    return float(lowest)


def propagate(load: Load, layers: Any, bounds: Any, inputs: Any, norm: str, kind: Any) -> Any:
    """What is known after ``layers`` of inputs ``[N, n]``."""
    state = load("state").State.at(load("rounding").Binary64(), inputs, norm, kind)
    load("bounds").carry(state, layers, bounds)
    return state


def sequential(net: Any, x: Any) -> np.ndarray:
    """Float32 evaluation that adds in index order, as a plain loop on a device would."""
    values = np.asarray(x, dtype=np.float32)
    for layer in net.layers:
        if layer.op == "dense":
            products = layer.weight * values
            total = products[:, 0]
            for column in range(1, products.shape[1]):
                total = total + products[:, column]
            values = total if layer.bias is None else total + layer.bias
    assert values.dtype == np.float32
    return values


def check_gamma(load: Load) -> None:
    """``gamma`` bounds n u / (1 - n u), and says so where that makes no sense."""
    gamma = load("rounding").gamma
    for count in (1, 7, 514, 5000, 2**20):
        for unit in (2.0**-24, 2.0**-53):
            exact = count * Fraction(unit)
            assert Fraction(gamma(count, unit)) >= exact / (1 - exact)
    assert gamma(2**24, 2.0**-24) == np.inf
    assert gamma(2**25, 2.0**-24) == np.inf
    assert gamma(0, 2.0**-24) == 0


def check_lost_sum(load: Load) -> None:
    """A sum that float32 loses when it adds in order: the label flips, so no certificate."""
    count = 4096
    row = np.full(count + 1, 2.0**-25)
    row[0] = 1.0
    net = network(
        load,
        [
            {
                "op": "dense",
                "weight": np.stack([row, np.zeros(count + 1)]),
                "bias": [0, 1 + 2.0**-14],
            }
        ],
        [count + 1],
    )
    x = np.ones(count + 1)
    logits = sequential(net, x)
    assert logits[0] < logits[1], "float32 gives the other label"
    assert radius(load, net, x, 0, arithmetic="real") > 0
    assert radius(load, net, x, 0, arithmetic="binary32") == 0


def check_lost_sum_in_the_body(load: Load) -> None:
    """The same loss in the first of two layers: it must be carried to the head."""
    count = 4096
    row = np.full(count + 1, 2.0**-25)
    row[0] = 1.0
    net = network(
        load,
        [
            {"op": "dense", "weight": np.stack([row, np.zeros(count + 1)])},
            {"op": "identity"},
            {"op": "dense", "weight": [[1, 0], [0, 0]], "bias": [0, 1 + 2.0**-14]},
        ],
        [count + 1],
    )
    x = np.ones(count + 1)
    logits = sequential(net, x)
    assert logits[0] < logits[1]
    assert radius(load, net, x, 0, arithmetic="real") > 0
    assert radius(load, net, x, 0, arithmetic="binary32") == 0


def check_count_times_unit(load: Load) -> None:
    """Sums too long for the arithmetic have no error bound at all."""
    rounding = load("rounding")
    toy = rounding.Arithmetic("toy", 2.0**-4, 2.0**-30, 2.0**30)
    x = np.zeros(32)
    x[0] = 8.0
    for rest, proven in ((2.0**-20, False), (0.0, True)):  # adding zeros rounds nothing
        weight = np.full((2, 32), rest)
        weight[0, 0], weight[1, 1] = 1.0, 1.0
        net = network(load, [{"op": "dense", "weight": weight}], [32])
        assert (radius(load, net, x, 0, arithmetic=toy) > 0) == proven


def check_headless(load: Load) -> None:
    """Without a dense head the pair norm is sqrt(2): at (1/2, 1/2) the classes tie."""
    net = network(load, [{"op": "dense", "weight": np.eye(2)}, {"op": "relu"}], [2])
    found = radius(load, net, [1.0, 0.0], 0)
    assert found > 0.70710 and found**2 < 0.5
    found = radius(load, net, [1.0, 0.0], 0, norm="linf")
    assert 0.4999 < found < 0.5


def check_affine(load: Load) -> None:
    """The exact radius of an affine network, in rationals; strict, because the ball is closed."""
    rng = np.random.default_rng(0)
    for trial in range(40):
        size = int(rng.integers(2, 30))
        weight = rng.standard_normal((2, size)).astype(np.float32)
        net = network(load, [{"op": "dense", "weight": weight}], [size])
        x = rng.standard_normal(size).astype(np.float32)
        exact = [
            sum(Fraction(float(w)) * Fraction(float(v)) for w, v in zip(row, x, strict=True))
            for row in weight
        ]
        label = 0 if exact[0] > exact[1] else 1
        gap = exact[label] - exact[1 - label]
        apart = [Fraction(float(a)) - Fraction(float(b)) for a, b in zip(*weight, strict=True)]
        found = Fraction(radius(load, net, x, label))
        squared = gap * gap / sum(value * value for value in apart)
        assert found * found < squared, trial
        assert found * found > squared * Fraction(999999, 1000000), trial
        found = Fraction(radius(load, net, x, label, norm="linf"))
        largest = gap / sum(abs(value) for value in apart)
        assert largest * Fraction(999999, 1000000) < found < largest, trial


def check_products(load: Load) -> None:
    """Products of many bounds are rounded up; a chain rounded down falls below."""
    bounds, bound_of = load("bounds"), load("operation").LayerBound
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = [float(value) for value in rng.uniform(0.5, 1.5, 30)]
        chain = [bound_of(place, "dense", value) for place, value in enumerate(values)]
        exact = Fraction(1)
        for value in values:
            exact *= Fraction(value)
        found = bounds.chain_constant(chain, load("rounding").Binary64())
        assert Fraction(float(found.value)) >= exact


def check_dense_bounds(load: Load) -> None:
    """Bounds of matrices against rational sums and singular values; tight as well."""
    bound_of = load("search").find_bound
    rng = np.random.default_rng(2)
    for shape in [(1, 7), (7, 1), (10, 10), (5, 40), (40, 5)]:
        for scale in (1e-30, 1.0, 1e20):
            weight = (rng.standard_normal(shape) * scale).astype(np.float32)
            rows = [sum(abs(Fraction(float(v))) for v in row) for row in weight]
            columns = [sum(abs(Fraction(float(v))) for v in row) for row in weight.T]
            for norm, exact in (("linf", max(rows)), ("l1", max(columns))):
                value = Fraction(bound_of(dense_layer(load, weight), norm).value)
                assert exact <= value <= exact * Fraction(1000001, 1000000)
            largest = np.linalg.svd(weight.astype(np.float64))[1][0]
            value = bound_of(dense_layer(load, weight), "l2").value
            assert largest * (1 - 1e-14) <= value <= largest * (1 + 2e-6), (shape, scale)


def check_near_orthonormal(load: Load) -> None:
    """One singular value slightly above 1, which c = 1 without its residual would hide."""
    bound, kind = load("linear").spectral_bound, load("rounding").Binary64()
    weight = np.eye(64, dtype=np.float32)
    weight[5, 5] = np.float32(1 + 2.0**-20)
    assert bound(weight, kind, "residual", 0.25).value >= 1 + 2.0**-20
    assert load("search").find_bound(dense_layer(load, weight), "l2").value >= 1 + 2.0**-20


def check_normalization(load: Load) -> None:
    """The smallest standard deviation decides the constant."""
    net = network(
        load,
        [
            {
                "op": "normalize",
                "mean": [(0.0).hex(), (0.0).hex()],
                "std": [(0.5).hex(), (2.0).hex()],
            },
            {"op": "flatten"},
            {"op": "dense", "weight": [[1, 0], [-1, 0]]},
        ],
        [2, 1, 1],
    )
    found = radius(load, net, [1.0, 1.0], 0)
    assert 0.9999 < found < 1.0


def check_never_certified(load: Load) -> None:
    """Ties, NaN, infinities, wrong and impossible labels."""
    net = network(load, [{"op": "dense", "weight": np.eye(3), "bias": [0, 0, 0]}], [3])
    for x in ([1, 1, 0], [np.nan, 0, 0], [np.inf, 0, 0], [-np.inf, 1, 0], [0, 0, 0]):
        for arithmetic in ("real", "binary64", "binary32"):
            assert radius(load, net, x, 0, arithmetic=arithmetic) == 0
    # Nor because the other components or the biases speak for the label.
    biased = network(load, [{"op": "dense", "weight": np.eye(3), "bias": [1, 0, 0]}], [3])
    for x in ([0, np.nan, 0], [0, -np.inf, 0]):
        assert radius(load, biased, x, 0) == 0
    assert radius(load, net, [1, 0, 0], 0) > 0
    for label in (1, 2, 3, -1):
        assert radius(load, net, [1, 0, 0], label) == 0


def check_overflow(load: Load) -> None:
    """A float32 network that overflows to infinity minus infinity is never certified."""
    big = np.float32(1e30)
    net = network(
        load,
        [
            {"op": "dense", "weight": np.eye(2) * big},
            {"op": "relu"},
            {"op": "dense", "weight": np.array([[1, -1], [-1, 1]]) * big},
        ],
        [2],
    )
    assert radius(load, net, [1.0, 0.5], 0, arithmetic="real") > 0
    assert radius(load, net, [1.0, 0.5], 0, arithmetic="binary32") == 0


def check_flushed_subnormals(load: Load) -> None:
    """A margin that lives in subnormals is gone where they are flushed to zero."""
    net = network(load, [{"op": "dense", "weight": [[2.0**-130], [0.0]]}], [1])
    assert radius(load, net, [2.0], 0, arithmetic="real") > 0
    assert radius(load, net, [2.0], 0, arithmetic="binary32") == 0


def dense_layer(load: Load, weight: Any) -> Any:
    """A dense layer without bias."""
    return load("operation").Layer(0, "dense", weight.shape[1], weight.shape[0], weight)


def kernel_layer(load: Load, weight: Any, shape: list[int], **options: Any) -> Any:
    """A convolution of images ``shape`` as a layer."""
    entry: dict[str, Any] = {"op": "convolution", "stride": 1, "padding": 0, "dilation": 1}
    entry |= {"groups": 1, "padding_mode": "zeros", **options}
    entry |= {"weight": "layers.0.weight", "bias": None}
    tensors = {"layers.0.weight": np.asarray(weight, dtype=np.float32)}
    parser = load("graph").Parser(tensors, shape[0])
    return parser.chain([entry], tuple(shape), "layers")[0]


def check_convolution_bounds(load: Load) -> None:
    """Kernels whose norm is known: at the highest frequency, at the border, over the stride."""
    proven, kind = load("bounds").proven, load("rounding").Binary64()

    def bound(layer: Any, norm: str, method: str = "", witness: float = 0.0) -> float:
        if not method:
            return float(load("search").find_bound(layer, norm).value)
        # In units of the kernel over 2; where nothing is expected of a witness, there is none.
        square = {"residual": 0.25, "frequencies": witness / 4}.get(method, 0.0)
        claim = load("operation").LayerBound(0, layer.op, 0.0, method, square)
        return float(proven(layer, claim, (norm, norm), kind, "layer").value)

    difference = np.array([[[[1.0], [-1.0]]]])
    methods = ("", "residual", "rows", "frequencies")
    corner = kernel_layer(load, np.array([[[[1.0, -1.0], [-1.0, 1.0]]]]), [1, 4, 4], padding=1)
    for method in methods:
        # On 2 x 2 pixels around the corner all four taps of one output are read.
        assert bound(corner, "l2", method, 16.001) >= 3.6
    single = kernel_layer(load, difference, [1, 2, 1])
    for method in methods:
        for witness in (0.1, 2.0001, 4.0001):
            assert bound(single, "l2", method, witness) >= 1.41421
        assert bound(single, "l2", method, 4.0001) <= 2.9
    around = kernel_layer(
        load,
        np.array([[[[1.0], [-1.0], [0.0]]]]).repeat(3, axis=3) * [[[[0, 1, 0]]]],
        [1, 4, 4],
        padding=1,
        padding_mode="circular",
    )
    for method in methods:
        assert 2 <= bound(around, "l2", method, 4.0001) <= 2.001
    strided = kernel_layer(load, np.ones((1, 1, 3, 3)), [1, 9, 9], stride=2)
    assert bound(strided, "l1") >= 4
    assert bound(strided, "linf") >= 9
    assert bound(strided, "l2", "absolute sums") >= 6


def check_overlapping_windows(load: Load) -> None:
    """Pooling windows that overlap count a pixel several times."""
    layer_bound = load("search").find_bound
    pools = [{"op": op, "kernel": 3, "stride": 2} for op in ("average_pool", "max_pool", "l2_pool")]
    for pool, least in zip(pools, (2 / 3, 2, 2), strict=True):
        net = network(load, [pool, {"op": "flatten"}], [1, 5, 5], 4)
        assert layer_bound(net.layers[0], "l2").value >= least
        assert layer_bound(net.layers[0], "l1").value >= least * least


def check_branches(load: Load) -> None:
    """Constants of branches add up, and so do their rounding errors."""
    double = {"op": "scale", "factor": (2.0).hex()}
    residual = {"op": "residual", "skip": (1.0).hex(), "branch": (-1.5).hex(), "layers": [double]}
    twice = {"op": "concatenate", "branches": [[double], [double]]}
    for entry, classes, least in ((residual, 2, 4.0), (twice, 4, 8.0**0.5)):
        net = network(load, [entry], [2], classes)
        assert load("search").find_bound(net.layers[0], "l2").value >= least
        bounds = load("search").find_bounds(net, "l2")
        kind = load("rounding").ARITHMETICS["binary32"]
        state = propagate(load, net.layers, bounds, np.ones((1, 2)), "l2", kind)
        # Each of two components of a branch may be off by u times its size, at least.
        assert state.d0.value[0] >= 2.0**-24 * 2 * (8**0.5 if classes == 2 else 2)
        assert state.lip.value >= least


def check_errors_through_a_pool(load: Load) -> None:
    """A maximum over overlapping windows spreads an error as it spreads a change."""
    scale = {"op": "scale", "factor": (3.0).hex()}
    pool = {"op": "max_pool", "kernel": 3, "stride": 1}
    kind = load("rounding").ARITHMETICS["binary32"]
    lost = []
    for layers, classes in (([scale], 25), ([scale, pool], 9)):
        net = network(load, [*layers, {"op": "flatten"}], [1, 5, 5], classes)
        bounds = load("search").find_bounds(net, "l2")
        state = propagate(load, net.layers, bounds, np.ones((1, 25)), "l2", kind)
        errors = [getattr(state, name).value[0] for name in ("own", "d0", "d1")]
        lost.append((*errors, state.lip.value))
    for before, after in zip(*lost, strict=True):
        assert after >= 3 * before > 0


def check_constants_that_vanish(load: Load) -> None:
    """A factor of 2^-150 is zero in binary32, wherever it stands; nothing may be certified."""
    big, tiny = np.eye(2) * 2.0**60, (2.0**-150).hex()
    zero, inner = (0.0).hex(), [{"op": "identity"}]
    dense = [{"op": "dense", "weight": big}] * 2
    head = {"op": "dense", "weight": np.eye(2)}
    for small in (
        {"op": "scale", "factor": tiny},
        {"op": "residual", "skip": tiny, "branch": zero, "layers": inner},
        {"op": "residual", "skip": zero, "branch": tiny, "layers": inner},
    ):
        last = [{"op": "dense", "weight": np.eye(2) * 2.0**30}, head]
        net = network(load, [*dense, small, *last], [2])
        assert radius(load, net, [0.0, 1.0], 1, arithmetic="real") > 0.7
        assert radius(load, net, [0.0, 1.0], 1, arithmetic="binary64") > 0.7
        assert radius(load, net, [0.0, 1.0], 1, arithmetic="binary32") == 0
    tail = [{"op": "scale", "factor": (2.0**-60).hex()}] * 3
    net = network(load, [head, *tail], [2])
    assert radius(load, net, [0.0, 1.0], 1, arithmetic="real") > 0.7
    assert radius(load, net, [0.0, 1.0], 1, arithmetic="binary32") == 0


def check_inputs_that_are_no_numbers(load: Load) -> None:
    """Nothing is proven of them, and no certificate may hold them."""
    net = network(load, [{"op": "dense", "weight": np.eye(2)}], [2])
    tensors, invalid = load("tensors"), load("errors").Invalid
    for strange in (np.nan, np.inf, -np.inf):
        assert radius(load, net, [1.0, strange], 0) == 0
        points = tensors.Points(np.array([[1.0, strange]]), np.array([0]))
        digests = {f"{name}_sha256": tensors.digest_array(array)
                   for name, array in points._asdict().items()}  # fmt: skip
        stored = {"index": [0], "input_sha256": tensors.input_digests(points.inputs), "label": [0]}
        certificate = {"points": stored, "summary": {"points": 1}, "data": digests}
        try:
            load("classification").check_points(certificate, points)
        except invalid:
            continue
        raise AssertionError(strange)


def check_subnormal_logits(load: Load) -> None:
    """Two logits that differ by a subnormal number are equal where these count as zero."""
    for layers in ([{"op": "identity"}], [{"op": "abs"}], [{"op": "dense", "weight": np.eye(2)}]):
        net = network(load, layers, [2], 2)
        assert radius(load, net, [2.0**-128, 0.0], 0, arithmetic="real") > 0
        assert radius(load, net, [2.0**-128, 0.0], 0, arithmetic="binary32") == 0


def check_one_weight_for_two_layers(load: Load) -> None:
    """The same array in memory, two biases: each layer has its own."""
    weight = np.eye(2, dtype=np.float32)
    first = {"op": "dense", "weight": weight, "bias": [0.0, 4.0]}
    net = network(load, [first, {"op": "relu"}, {**first, "bias": [0.0, 0.0]}], [2])
    assert 0 < radius(load, net, [1.0, 0.0], 1) < 3 / 2**0.5


def check_one_input(load: Load) -> None:
    """One feature, one weight: 1 - decay is its share all the same."""
    kind, point = load("rounding").ARITHMETICS["real"], np.array([[1.0], [0.0]])
    for decay in (0.0, 0.5, 0.999, 1 - 2.0**-40):
        entry = {"op": "distance", "weight": [[0.0]], "bias": None, "decay": decay.hex()}
        net = network(load, [entry], [1])
        for norm in ("l2", "linf", "l1"):
            bounds = load("search").find_bounds(net, norm)
            share = (1 - decay) if norm != "linf" else 1.0
            assert share <= bounds[0].value <= share * (1 + 1e-9)
            state = propagate(load, net.layers, bounds, point, norm, kind)
            apart = abs(state.values[:, 0] - [1 - decay, 0])
            assert (apart <= state.own.value).all() and state.own.value.max() < 1e-12


CHECKS = [value for name, value in sorted(globals().items()) if name.startswith("check_")]
