"""Chains at an edge of some arithmetic, and certified points tried on its worst machines."""

from __future__ import annotations

from itertools import product
from typing import Any

import adapter
import numpy as np
from definitions import Node
from networks import Drawing
from rounded_arithmetic import FLUSHES, ROUNDINGS, TINY, Machine
from trials import build, on


def matrix(values: Any, bias: Any = None) -> Node:
    weight = np.asarray(values, dtype=np.float32)
    offset = None if bias is None else np.asarray(bias, dtype=np.float32)
    return Node("dense", (weight.shape[1],), (len(weight),), weight=weight, bias=offset)


def chosen(places: list[int], inputs: int = 2, shape: tuple[int, ...] = ()) -> Node:
    out = shape or (len(places),)
    weight = np.asarray(places, dtype=np.float32)
    return Node("select", (inputs,), out, {"shape": list(out)}, weight)


TWO, EYE = (2,), np.eye(2, dtype=np.float32)
FALLING = [1.0] + [2.0**-12] * 299
"""Added up in this order, every partial sum is about as large as the whole."""
LEADING = matrix([[1], [-1]], [1, 0])
"""The first class, as long as a number is above -1/2."""
ORDER = np.array([[1, 1], [1, -1]], dtype=np.float32)
CHAINS: dict[str, tuple[list[Node], list[float]]] = {
    "a mean that is subnormal": (
        [Node("normalize", TWO, TWO, {"mean": [2.0**-140], "std": [1.0]}), matrix(EYE)],
        [2.0**-139, 0],
    ),
    "a mean that cancels": (
        [Node("normalize", TWO, TWO, {"mean": [0.1], "std": [2.0**-50]}), matrix(EYE)],
        [0.1 + 1e-8, 0.1],
    ),
    "biases an ulp apart": ([matrix(EYE, [1, 1 + 2.0**-23])], [3 * 2.0**-24, 0]),
    "an end that is subnormal": (
        [Node("clip", TWO, TWO, {"low": 2.0**-140, "high": 1.0}), matrix(EYE)],
        [2.0**-130, 0],
    ),
    "a plateau": (
        [Node("clip", TWO, TWO, {"low": 0.0, "high": 1.0}), matrix(EYE, [0.5, 0])],
        [1, 1],
    ),
    "an input three times": (
        [
            Node("select", TWO, (4,), {"shape": [4]}, np.array([0, 0, 0, 1], dtype=np.float32)),
            matrix([[1, 1, 1, 0], [0, 0, 0, 1]]),
        ],
        [1, 0.9],
    ),
    "three hundred terms": (
        [Node("sum", TWO, TWO, branches=[[] for _ in range(300)]), matrix(EYE)],
        [1, 1 - 2.0**-12],
    ),
    "a decay next to one": (
        [Node("distance", TWO, TWO, {"decay": 1 - 2.0**-53}, EYE * 9), matrix(EYE * 2.0**50)],
        [1, -1],
    ),
    "levels that tie": (
        [
            Node("order_statistic", TWO, TWO, {}, ORDER, np.array([1, 2], dtype=np.float32)),
            matrix(EYE),
        ],
        [1, 1],
    ),
    "a million and one": ([matrix([[1e6, 1e6], [1e6, 1e6 + 0.0625]])], [1, -2]),
    "a slope of minus one": (
        [Node("leaky_relu", TWO, TWO, {"slope": -1.0}), matrix(EYE)],
        [-1, 0.5],
    ),
    "scales that cancel": (
        [matrix(EYE), *(Node("scale", TWO, TWO, {"factor": 2.0**k}) for k in (-60, 60))],
        [1, 0],
    ),
    "the largest input": ([matrix(EYE * 2.0**-127)], [3.4e38, 0]),
    "a sum far from the point": ([chosen([0] * 300), matrix([FALLING]), LEADING], [0, 0]),
    "a sum far from the point, after a crossing": (
        [matrix([[1, 0]]), chosen([0] * 300, 1), matrix([FALLING]), LEADING],
        [0, 0],
    ),
    "a factor that is rounded up": (
        [
            *(matrix(EYE * 2.0**60) for _ in range(2)),
            Node("scale", TWO, TWO, {"factor": 1.6 * 2.0**-149}),
            matrix(EYE * 2.0**29),
            matrix([[1, 0], [-1, 0]], [1, 0]),
        ],
        [0, 0],
    ),
    "a mean that overflows": (
        [
            chosen([0] * 16, 2, (1, 4, 4)),
            Node("average_pool", (1, 4, 4), (1, 1, 1), {"kernel": 4, "stride": 1}),
            Node("flatten", (1, 1, 1), (1,)),
            matrix([[1], [0.5]]),
        ],
        [3e37, 0],
    ),
    "a distance that overflows, its share does not": (
        [
            Node(
                "distance",
                TWO,
                TWO,
                {"decay": 1 - 2.0**-10},
                np.array([[-1.5 * 2.0**127, 0], [1.5 * 2.0**127, 0]], dtype=np.float32),
                np.array([0, 2.0**122], dtype=np.float32),
            )
        ],
        [1.5 * 2.0**127, 0],
    ),
    "a number that a deviation makes large": (
        [Node("normalize", TWO, TWO, {"mean": [0.0], "std": [2.0**-60]}), matrix(EYE)],
        [2.0**-130, 0],
    ),
    "logits that are flushed": ([Node("identity", TWO, TWO)], [2.0**-130, 0]),
}


MACHINES = [
    *(Machine("binary64", flush=flush, seed=k) for k, flush in enumerate(FLUSHES)),
    *(
        Machine("binary32", flush=flush, rounding=rounding, seed=k)
        for k, (flush, rounding) in enumerate(product(FLUSHES, ROUNDINGS[:5]))
    ),
]


def loses(kind: str, norm: str) -> Machine | None:
    """A machine on which some point of a ball in ``norm`` that is certified loses its label.

    Points on the sphere around that of the chain ``kind``, on machines that keep or flush
    subnormal numbers, or round badly.
    """
    chain, point = CHAINS[kind]
    network = build(Drawing(TWO, chain, "plain"))
    x = np.asarray([point], dtype=np.float32)
    rng, order = np.random.default_rng(0), {"l2": 2, "linf": np.inf, "l1": 1}[norm]
    for arithmetic, dtype in (("binary32", np.float32), ("binary64", np.float64)):
        for label in (0, 1):
            radius = adapter.radii(network, x, np.array([label]), norm, arithmetic)[0]
            if not radius:
                continue
            towards = rng.standard_normal((200, 2))
            towards /= np.linalg.norm(towards, order, axis=1)[:, None]
            towards = np.concatenate([towards, EYE, -EYE])
            points = (x + towards * radius * (1 - 1e-12)).astype(dtype)
            points = np.concatenate([points, np.nextafter(points, x.astype(dtype))])
            off = points.astype(np.float64) - x
            points = points[np.linalg.norm(off, order, axis=1) <= radius]
            for machine in (one for one in MACHINES if one.arithmetic == arithmetic):
                found = on(machine, chain, points)
                if machine.flush == "everything":
                    found = np.where(np.abs(found) < TINY[arithmetic], 0.0, found)
                if not (found[:, label] > found[:, 1 - label]).all():
                    return machine
    return None
