"""Gradients of norm 1: what monotone activations make of them, and what weights can carry them.

**Theorem 1** (Anil, Lucas and Grosse, 2019) in n dimensions: the gradient of a network
R^n -> R with weights W_k of spectral norm at most 1 and elementwise monotone activations of slopes
in [0, 1] is ``W_1^T D_1 ... D_{L-1} W_L^T`` with diagonal D_k in [0, 1]. Read from the right, no
factor lengthens a vector, and a D_k keeps the length only of vectors that it leaves as they are:
where the gradient has norm 1 it is ``W_1^T ... W_L^T``, the same everywhere, and a network that
has norm 1 almost everywhere is affine. :func:`steepest` finds all gradients of norm 1 over all
patterns of slopes 0 and 1. Those between are settled as well: the gradient is affine in each slope,
so one of norm 1 is a mean of gradients at patterns, and in a strictly convex ball all of these are
that one. Whatever slopes ReLU, leaky ReLU, tanh or a sigmoid take is covered.

**Theorem 2**: without a change of the function, the weights of a network with gradient norm 1
can be replaced by ones whose singular values are all 1. Gradients run only through the space
``E = {u: |W^T u| = |u|}`` of a weight. By Witt's theorem the isometry that W is from W^T E to E has
a rational orthogonal extension, a product of reflections: :func:`rewritten` needs no root.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from fractions import Fraction

from lipsort_cli.theory.exact import (
    Activation,
    Affine,
    ExactNetwork,
    Layer,
    Matrix,
    Vector,
    affine,
    complement,
    dot,
    transposed,
)  # fmt: skip

ONE, ZERO = Fraction(1), Fraction(0)


def identity(n: int) -> Matrix:
    """I [n, n]."""
    return [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]


def applied(matrix: Matrix, x: Vector) -> Vector:
    """W x."""
    return [dot(row, x) for row in matrix]


def reflected(x: Vector, across: Vector) -> Vector:
    """x less twice its share along ``across``; rational, and of the same length."""
    share = 2 * dot(x, across) / dot(across, across)
    return [a - share * v for a, v in zip(x, across, strict=True)]


def random_orthogonal(n: int, draw: random.Random) -> Matrix:
    """A rational orthogonal matrix [n, n]: a product of reflections."""
    rows = identity(n)
    for _ in range(3):
        across = [Fraction(draw.randint(-3, 3)) for _ in range(n)]
        if any(across):
            rows = [reflected(row, across) for row in rows]
    return rows


# --- Theorem 1 ----------------------------------------------------------------------------------


def gradients(weights: list[Matrix]) -> Iterator[Vector]:
    """The gradient [n] at every pattern of slopes 0 and 1; ``weights[-1]`` is [1, m]."""
    back = [transposed(weight) for weight in weights]

    def below(layer: int, vector: Vector) -> Iterator[Vector]:
        vector = applied(back[layer], vector)
        if layer == 0:
            yield vector
            return
        # A unit that the vector does not pass through changes nothing.
        choices = [(0, 1) if v else (1,) for v in vector]
        for slopes in itertools.product(*choices):
            yield from below(layer - 1, [v * s for v, s in zip(vector, slopes, strict=True)])

    yield from below(len(weights) - 1, [ONE])


def steepest(weights: list[Matrix]) -> tuple[int, list[Vector]]:
    """How many patterns there are, and all different gradients of norm 1 among them."""
    count, found = 0, []
    for gradient in gradients(weights):
        count += 1
        if dot(gradient, gradient) == 1 and gradient not in found:
            found.append(gradient)
    return count, found


def random_weights(inputs: int, widths: list[int], draw: random.Random) -> list[Matrix]:
    """Orthonormal weights of a network ``inputs`` -> ``widths`` -> 1."""
    weights = []
    for before, width in itertools.pairwise([inputs, *widths, 1]):
        square = random_orthogonal(max(before, width), draw)
        weights.append([row[:before] for row in square[:width]])
    return weights


def singular_values_one(weight: Matrix) -> bool:
    """Whether the rows or columns, whichever are fewer, are orthonormal."""
    return not any(map(any, complement(min(weight, transposed(weight), key=len))))


# --- Theorem 2 ----------------------------------------------------------------------------------


def kernel(matrix: Matrix) -> list[Vector]:
    """A basis of {x: M x = 0}, by exact elimination."""
    rows, columns = [row[:] for row in matrix], len(matrix[0])
    pivots: list[int] = []
    for column in range(columns):
        start = len(pivots)
        best = next((i for i in range(start, len(rows)) if rows[i][column]), None)
        if best is None:
            continue
        rows[start], rows[best] = rows[best], rows[start]
        rows[start] = [v / rows[start][column] for v in rows[start]]
        for i, row in enumerate(rows):
            if i != start and row[column]:
                rows[i] = [a - row[column] * b for a, b in zip(row, rows[start], strict=True)]
        pivots.append(column)
    basis = []
    for free in (c for c in range(columns) if c not in pivots):
        vector = [Fraction(int(c == free)) for c in range(columns)]
        for row, pivot in zip(rows, pivots, strict=False):
            vector[pivot] = -row[free]
        basis.append(vector)
    return basis


def orthogonalised(basis: list[Vector]) -> list[Vector]:
    """Gram and Schmidt without roots: orthogonal, of whatever lengths."""
    found: list[Vector] = []
    for vector in basis:
        for other in found:
            share = dot(vector, other) / dot(other, other)
            vector = [a - share * b for a, b in zip(vector, other, strict=True)]
        found.append(vector)
    return found


def isometric_space(weight: Matrix) -> list[Vector]:
    """An orthogonal basis of {u: |W^T u| = |u|}, for a weight of norm at most 1."""
    return orthogonalised(kernel(complement(weight)))


def completed(weight: Matrix) -> Matrix:
    """The weight [m, n] with every singular value 1 that acts on its isometric space as it does."""
    rows, columns = len(weight), len(weight[0])
    n = max(rows, columns)
    back = transposed(weight)
    turned = identity(n)  # its rows are H e_i, so that it is H^T
    for u in isometric_space(weight):
        source = applied(back, u) + [ZERO] * (n - columns)
        target = u + [ZERO] * (n - rows)
        # What is mapped already is orthogonal to both, so that the reflection leaves it alone.
        image = applied(transposed(turned), source)
        across = [a - b for a, b in zip(image, target, strict=True)]
        if any(across):
            turned = [reflected(row, across) for row in turned]
    return [row[:columns] for row in transposed(turned)[:rows]]


def rewritten(network: ExactNetwork) -> ExactNetwork:
    """The network with every linear layer's weight completed."""
    layers: list[Layer] = [
        Affine(completed(layer.weight), layer.bias) if isinstance(layer, Affine) else layer
        for layer in network.layers
    ]
    return ExactNetwork(tuple(layers), network.inputs, network.bound)


def wasteful(size: int, depth: int, draw: random.Random) -> ExactNetwork:
    """A MaxMin network of gradient norm 1 on 2 ``size`` inputs, half of whose units lead nowhere.

    They have singular values 1/2 and 0; pairs of units are shuffled, so that nothing shows which.
    """
    width = 2 * size
    layers: list[Layer] = []
    order = list(range(width))
    for _ in range(depth):
        good, idle = random_orthogonal(size, draw), random_orthogonal(size, draw)
        share = [Fraction(k % 2, 2) for k in range(size)]
        block = [row + [ZERO] * size for row in good]
        block += [[ZERO] * size + [s * v for v in row] for s, row in zip(share, idle, strict=True)]
        pairs = list(range(0, width, 2))
        draw.shuffle(pairs)
        after = [i for pair in pairs for i in (pair, pair + 1)]
        weight = [[block[i][j] for j in order] for i in after]
        layers.append(affine(weight, [Fraction(draw.randint(-4, 4), 4) for _ in range(width)]))
        layers.append(Activation("sort", 2))
        order = after
    head = random_orthogonal(size, draw)[0] + [ZERO] * size
    layers.append(affine([[head[j] for j in order]]))
    return ExactNetwork(tuple(layers), width)
