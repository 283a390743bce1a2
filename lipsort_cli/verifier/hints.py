"""Numbers to try in proofs of spectral bounds. Nothing rests on them: a bad one proves less."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from .rounding import Floats


def centers(estimate: float) -> Iterator[float]:
    """Numbers to try for ``c^2``, each a little further above an estimate of the largest."""
    if math.isfinite(estimate):
        for share in (0.0, 2.0**-36, 2.0**-32, 2.0**-28, 2.0**-24, 2.0**-21, 2.0**-16, 2.0**-10,
                      2.0**-4, 1.0):  # fmt: skip
            yield estimate * (1 + share)


def largest_eigenvalue(gram: Floats, steps: int = 64) -> float:
    """Lanczos with full reorthogonalisation."""
    steps = min(steps, len(gram))
    basis = np.zeros((steps, len(gram)))
    vector = np.cos(np.arange(1.0, len(gram) + 1.0)) + gram.sum(axis=1)
    images = np.zeros_like(basis)
    for step in range(steps):
        length = float(np.linalg.norm(vector))
        if not 0 < length < math.inf:
            steps = step
            break
        basis[step] = vector / length
        images[step] = gram @ basis[step]
        vector = images[step]
        for _ in range(2):
            vector = vector - basis[: step + 1].T @ (basis[: step + 1] @ vector)
    if steps == 0:
        return float(np.trace(gram))
    small = basis[:steps] @ images[:steps].T
    try:
        return float(np.linalg.eigvalsh((small + small.T) / 2)[-1])
    except np.linalg.LinAlgError:
        return math.inf


def largest_square(matrices: Iterable[Floats]) -> float:
    """About the largest squared singular value of any of some matrices."""
    leaders: list[tuple[float, int, Floats]] = []
    for place, matrix in enumerate(matrices):
        leaders.append((largest_eigenvalue(matrix @ matrix.T, 12), place, matrix))
        leaders = sorted(leaders, key=lambda item: item[:2])[-4:]
    return max(float(np.linalg.norm(leader[2], 2)) ** 2 for leader in leaders) * (1 + 2.0**-40)
