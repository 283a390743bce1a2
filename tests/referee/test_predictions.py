"""A certificate counts what the network predicts: no claimed bound opens another class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from definitions import Node
from edges import EYE, matrix
from networks import Drawing
from trials import build

from lipsort_cli.certificates.search import find_route
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.radii import Claims
from lipsort_cli.verifier.rounding import ARITHMETICS, Binary64

HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2


def network(*chain: Node) -> Network:
    return build(Drawing(chain[0].shape, list(chain), "plain"))


def possible(found: Network, point: list[float], norm: str, inflated: float = 1.0) -> list[int]:
    """The classes that may be predicted, where every bound of a layer is claimed larger."""
    route = find_route(found, norm)
    bounds = tuple(replace(bound, value=bound.value * inflated) for bound in route.bounds)
    zero, inputs = np.zeros(1, dtype=np.int64), np.array([point])
    given = np.zeros(1), norm, ARITHMETICS["real"], [route._replace(bounds=bounds)], zero
    _, classes = Claims(inputs, zero, *given).judge(found, zero, Binary64())
    return np.flatnonzero(classes[0]).tolist()


CASES: dict[str, tuple[list[Node], list[float], str, float, list[int]]] = {
    "bounds that are claimed larger": ([matrix(EYE)] * 2, [1, 0], "l2", 2.0**100, [0]),
    "true bounds of eighty layers": ([matrix(HADAMARD)] * 80, [1, 0, 0, 0], "linf", 1.0, [0]),
    "squares that overflow": ([matrix(EYE)] * 2, [1e160, 0], "l2", 1.0, [0]),
    "a class whose terms cancel": (
        [matrix([[1, 0], [0, 1], [2.0**60, -(2.0**61)]])],
        [1, 0.5],
        "l2",
        1.0,
        [0],
    ),
    "no logit is a number": ([matrix(EYE * 2.0**100)] * 20, [1, 0], "l2", 1.0, []),
}


@pytest.mark.parametrize("kind", CASES)
def test_only_the_leading_class_is_a_prediction(kind: str) -> None:
    chain, point, norm, inflated, classes = CASES[kind]
    assert possible(network(*chain), point, norm, inflated) == classes


@pytest.mark.parametrize("point", [[1.0, 1.0], [0.0, 0.0], [1.0, 1 - 2.0**-52]])
def test_any_class_of_a_tie_is_one(point: list[float]) -> None:
    assert possible(network(matrix(EYE), matrix(EYE)), point, "l2") == [0, 1]
