"""An operation means one thing: whoever computes it stays within the bound that is certified.

Each operation of the plain form is evaluated by the verifier, whose logits and error bounds are
what certificates state, and by everything of lipsort that computes it: the layer that is trained,
the plain module in float32 and float64, the module as ``torch.export`` traces it, and ONNX Runtime.
Inputs, weights and constants go from subnormal numbers to 1e25, with cancellation, ties, biases
that drown everything and shapes of one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lipsort_cli import layers as own
from lipsort_cli.certificates.points import evaluate
from lipsort_cli.layers.distance import Distance
from lipsort_cli.layers.extension import Extension
from lipsort_cli.layers.order import Versus, WeightedOrder
from lipsort_cli.layers.order_filter import OrderFilter
from lipsort_cli.layers.pooling import DepthToSpace, SpaceToDepth
from lipsort_cli.verifier.errors import Invalid, Unsupported
from lipsort_cli.verifier.graph import Network, build_network
from lipsort_cli.verifier.onnx import onnx_bytes
from lipsort_cli.verifier.operation import find, names
from lipsort_cli.zoo import network_graph
from lipsort_cli.zoo.network import Network as Trained
from lipsort_cli.zoo.plain import plain_module

sys.path.insert(0, str(Path(__file__).parents[1] / "certificates"))
from certificate_networks import convolution, network

Layers = list[dict[str, Any]]
Draw = Callable[..., np.ndarray]

OPERATIONS = set(names())
SMOOTH = {name for name in names() if getattr(find(name), "smooth", False)}
TINY, LARGE = 1e-42, 1e25
SCALES = [TINY, 1e-30, 1e-3, 1.0, 1e3, 1e12, LARGE]
CONSTANTS = [*SCALES, 0.0, 2.0**-150, 0.1, -1.0]
ZERO = (0.0).hex()
DECAYS = [0.0, 1e-9, 0.3, 0.999, 1 - 2.0**-30]


def rows(op: str, draw: Draw, n: int) -> Layers:
    """A layer with a matrix of ``n`` columns."""
    many = 1 if n == 1 else 5
    return [{"op": op, "weight": draw(many, n), "bias": draw(many)}]


def votes(rng: np.random.Generator, n: int) -> Layers:
    weight = rng.integers(-(2**20), 2**20, (3, n)).astype(float)
    weight[0], weight[1] = 1, -1
    return [{"op": "order_statistic", "weight": weight, "bias": np.abs(weight).sum(1) // 2 + 1}]


FLAT: dict[str, Callable[[np.random.Generator, Draw, float, int], Layers]] = {
    "dense": lambda rng, draw, c, n: rows("dense", draw, n),
    "distance": lambda rng, draw, c, n: [
        {**entry, "decay": float(rng.choice(DECAYS)).hex()} for entry in rows("distance", draw, n)
    ],
    "extension": lambda rng, draw, c, n: rows("extension", draw, n),
    "order_statistic": lambda rng, draw, c, n: votes(rng, n),
    "normalize": lambda rng, draw, c, n: [
        {"op": "normalize", "mean": [float(draw(1)[0]).hex()], "std": [within(c).hex()]}
    ],
    "scale": lambda rng, draw, c, n: [{"op": "scale", "factor": c.hex()}],
    "clip": lambda rng, draw, c, n: [
        {
            "op": "clip",
            "low": float(np.float32(-abs(c) - 1e-3)).hex(),
            "high": rng.choice([None, ZERO]),
        }
    ],
    "select": lambda rng, draw, c, n: [
        {"op": "select", "weight": rng.integers(-1, n, 3), "shape": [3]}
    ],
    "sum": lambda rng, draw, c, n: [
        {"op": "sum", "branches": [[], [{"op": "scale", "factor": c.hex()}], [{"op": "abs"}]]}
    ],
    "leaky_relu": lambda rng, draw, c, n: [{"op": "leaky_relu", "slope": c.hex()}],
    "residual": lambda rng, draw, c, n: [
        {"op": "residual", "skip": c.hex(), "branch": (-0.3 * c).hex(), "layers": [{"op": "abs"}]}
    ],
    "concatenate": lambda rng, draw, c, n: [
        {"op": "concatenate", "branches": [[], [{"op": "scale", "factor": c.hex()}]]}
    ],
    "groupsort": lambda rng, draw, c, n: [{"op": "groupsort", "group_size": n}],
    "maxout": lambda rng, draw, c, n: [{"op": "maxout", "group_size": n}],
    **{
        op: lambda rng, draw, c, n, op=op: [{"op": op}]  # type: ignore[misc]
        for op in ("flatten", "relu", "abs", "tanh", "sigmoid", "identity")
    },
}
IMAGES: dict[str, Callable[[np.random.Generator, Draw, int], Layers]] = {
    "convolution": lambda rng, draw, n: [
        convolution(draw(2, n, min(n, 3), 1), draw(2), padding=n // 2, stride=1 + n // 3)
    ],
    "transposed_convolution": lambda rng, draw, n: [
        convolution(draw(n, 2, 1, min(n, 3)), draw(2), op="transposed_convolution", stride=2)
    ],
    "space_to_depth": lambda rng, draw, n: [{"op": "space_to_depth", "block": n}],
    "depth_to_space": lambda rng, draw, n: [{"op": "depth_to_space", "block": 2 if n == 4 else 1}],
    **{
        op: lambda rng, draw, n, op=op: [  # type: ignore[misc]
            {"op": op, "kernel": min(n, 3), "stride": 1 + n // 4}
        ]
        for op in ("average_pool", "max_pool", "l2_pool")
    },
}
"""Networks of one operation from images [n, n, n]."""


def within(value: float) -> float:
    """The nearest positive number that a deviation may be."""
    return float(np.clip(abs(value), 2.0**-59, 2.0**59))


def test_every_operation_is_compared() -> None:
    assert FLAT.keys() | IMAGES.keys() == OPERATIONS


def build(op: str, rng: np.random.Generator, scale: float, constant: float, n: int) -> Network:
    """A network of one operation, and a flatten layer, every output of which is a class."""

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    if op in IMAGES:
        found, shape = [*IMAGES[op](rng, draw, n), {"op": "flatten"}], [n, n, n]
    else:
        found, shape = FLAT[op](rng, draw, constant, n), [n]
    if op != "order_statistic" and found[0].get("bias") is not None:
        found[0]["bias"] = found[0]["bias"] * np.float32(rng.choice([0.0, 1.0, 1e6]))
    try:
        return network(found, shape, 1)
    except Invalid as error:
        made = re.search(r"returns shape \[(\d+)\]", str(error))
        assert made, error
        return network(found, shape, int(made[1]))


def points(net: Network, rng: np.random.Generator, scale: float) -> np.ndarray:
    """Inputs [N, ...]: of the weights' size and of others, near the weights, tied, zero."""
    shape = net.input_shape
    found = [np.zeros(shape), np.full(shape, scale), -np.full(shape, scale)]
    for size in (scale, 1.0, TINY, 1e6 * scale, LARGE):
        found += [rng.standard_normal(shape) * size, rng.integers(-2, 3, shape) * size]
    mixed = 10.0 ** rng.uniform(-40, 25, shape) * rng.choice([-1, 1], shape)
    found += [mixed, rng.permutation(mixed)]
    weight = net.layers[0].weight
    if weight is not None and weight.shape[1:] == shape:
        near = np.concatenate(
            [weight, np.nextafter(weight, np.float32(np.inf)), weight[:1] * 1.001]
        )
        found += list(near.astype(np.float64))
    return np.stack(found).astype(np.float32)


def networks(op: str, seed: int) -> Iterator[tuple[Network, np.ndarray]]:
    """Networks of one operation with inputs [N, ...] of theirs, at every size."""
    rng = np.random.default_rng(seed)
    for scale in SCALES:
        for n in (1, 2, 4):
            constant = float(rng.choice([*CONSTANTS]))
            try:
                net = build(op, rng, scale, constant, n)
            except Unsupported:
                continue  # a constant for which nothing is claimed
            yield net, points(net, rng, scale)
    # Far from the origin, where squares and products cancel.
    for n in (2, 4):
        net = shifted(build(op, rng, 1e-2, 0.1, n), rng)
        yield net, points(net, rng, 1e3)


def shifted(net: Network, rng: np.random.Generator) -> Network:
    """The network with +-1000 added to its weights, if it has any."""
    tensors = dict(net.tensors())
    for name, value in tensors.items():
        if name.endswith("weight") and net.layers[0].op not in ("order_statistic", "select"):
            signs = np.float32(1000) * rng.choice([-1, 1], value.shape[-1:]).astype(np.float32)
            tensors[name] = value + signs
    return build_network(net.graph(), tensors)


def within_bound(net: Network, x: np.ndarray, values: np.ndarray, arithmetic: str) -> str:
    """Empty, or what lies outside the bound of ``arithmetic``."""
    claimed = evaluate(net, x, arithmetic, norm="linf")
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(values.astype(np.float64) - claimed.logits)
    allowed = claimed.error[:, None] * (1 + 1e-12)
    wrong = (~(apart <= allowed) & np.isfinite(allowed)).any(axis=1)
    if not wrong.any():
        return ""
    row = int(wrong.argmax())
    return (
        f"{net.graph()['layers']} {net.tensors()} at {x[row].tolist()}: {values[row]} instead of "
        f"{claimed.logits[row]}, allowed {claimed.error[row]}"
    )


@pytest.mark.parametrize("op", sorted({*FLAT, *IMAGES} - {*SMOOTH}))
def test_plain_modules_and_exports_compute_what_is_certified(op: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    stated = 0
    for net, x in networks(op, seed=0):
        stated += int(np.isfinite(evaluate(net, x, "binary32", norm="linf").error).sum())
        with torch.no_grad():
            inputs, module = torch.from_numpy(x), plain_module(net)
            single = module(inputs)
            alone = torch.cat([module(row[None]) for row in inputs])
            double = plain_module(net, torch.float64)(inputs.double())
        assert not within_bound(net, x, single.numpy(), "binary32")
        assert not within_bound(net, x, alone.numpy(), "binary32")
        assert not within_bound(net, x, double.numpy(), "binary64")
        try:
            contents = onnx_bytes(net)
        except Unsupported:
            continue
        session = runtime.InferenceSession(contents, providers=["CPUExecutionProvider"])
        assert not within_bound(net, x, session.run(None, {"input": x})[0], "binary32")
    assert stated > 100  # not everything is declared unknown


@pytest.mark.parametrize("op", sorted({*FLAT, *IMAGES} - {*SMOOTH}))
def test_exported_programs_compute_what_is_certified(op: str) -> None:
    net, x = list(networks(op, seed=1))[-1]
    module = plain_module(net)
    program = torch.export.export(module, (torch.from_numpy(x),))
    assert not within_bound(net, x, program.module()(torch.from_numpy(x)).numpy(), "binary32")


def layers(n: int) -> dict[str, nn.Module]:
    """Every layer that networks are built of, by the first operation of its plain form."""
    apart = 1000 * torch.tensor([1.0, -1.0, 1.0, -1.0])[:n]
    return {
        "dense": own.Dense(n, 3),
        "distance": Distance(n, 3, 0.3),
        "extension": Extension(torch.randn(9, n) + apart),
        "order_statistic": WeightedOrder(n, 3),
        "order_statistic (filter)": OrderFilter((1, n, 1), 3, side=1, stride=1),
        "order_statistic (head)": Versus(n, 3),
        "normalize": own.Normalize([0.1] * n, [1e-3] * n),
        "scale": own.Scale(0.1),
        "leaky_relu": nn.LeakyReLU(0.1),
        "residual": own.Residual([own.Dense(n, n)], 0.3),
        "concatenate": own.Concatenate([[], [own.Dense(n, 3)]]),
        "sum": own.Sum([[], [own.Dense(n, n)], [nn.ReLU()]]),
        "select": own.Select(torch.arange(-1, n), [n + 1]),
        "clip": nn.ReLU6(),
        "groupsort": own.GroupSort(n),
        "groupsort (all)": own.FullSort(1),
        "maxout": own.Maxout(n),
        "flatten": nn.Flatten(),
        "relu": nn.ReLU(),
        "abs": own.AbsoluteValue(),
        "tanh": nn.Tanh(),
        "sigmoid": nn.Sigmoid(),
        "identity": nn.Identity(),
        "convolution": own.OrthogonalConvolution(n, 3, 3, padding=1),
        "transposed_convolution": own.TransposedConvolution(
            own.ReshapedConvolution(3, n, 3, bias=False)
        ),
        "space_to_depth": SpaceToDepth(n),
        "depth_to_space": DepthToSpace(2 if n == 4 else 1),
        "average_pool": own.AveragePool(n, normalized=True),
        "max_pool": own.MaxPool(n),
        "l2_pool": own.L2Pool(n, 1),
    }


def test_every_operation_has_a_layer() -> None:
    assert {name.split()[0] for name in layers(4)} == OPERATIONS


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("name", sorted(set(layers(4)) - {*SMOOTH}))
def test_trained_layers_compute_what_is_certified(name: str, n: int) -> None:
    torch.manual_seed(0)
    layer = layers(n)[name].eval()
    shape = (n, n, n) if name.split()[0] in IMAGES else (n,)
    with torch.no_grad():
        for scale in SCALES:
            for parameter in layer.parameters():
                if name.split()[0] in ("distance", "extension"):
                    parameter.copy_(scale * torch.randn_like(parameter))
            made = layer(torch.zeros(1, *shape)).flatten(1).shape[1]
            whole = Trained([layer, nn.Flatten()], shape, made).eval()
            graph, tensors = network_graph(whole)
            net = build_network(graph, {key: value.numpy() for key, value in tensors.items()})
            x = points(net, np.random.default_rng(0), scale)
            assert not within_bound(net, x, whole(torch.from_numpy(x)).numpy(), "binary32")
