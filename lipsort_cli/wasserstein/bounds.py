"""The answer: bounds of W1, each with what it is about, its evidence and its method."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.certificates import Network, evaluate, lipschitz_bound, load_network
from lipsort_cli.console import warn
from lipsort_cli.wasserstein.confidence import BOUNDS, paired_differences, transport_upper
from lipsort_cli.wasserstein.sliced import projected_distances
from lipsort_cli.wasserstein.sources import Measures, Rows
from lipsort_cli.wasserstein.transport import (
    TIGHT,
    Transport,
    blocked_upper,
    costs,
    exact_transport,
    normalised,
)

Array = NDArray[np.float64]
CHUNK = 8192

SAMPLES = "the two samples compared"
POPULATIONS = "the populations"


@dataclass(frozen=True)
class Bound:
    """One figure: ``kind`` is lower, upper or value; ``about`` says of what distance."""

    kind: str
    value: float
    evidence: str
    method: str
    about: str

    def entry(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class SavedCritic:
    """A saved critic with its proven Lipschitz bound in the ground norm."""

    network: Network
    norm: str
    lipschitz: float

    @classmethod
    def of(cls, network: Network, norm: str) -> SavedCritic:
        """Bound the constant of ``network``."""
        return cls(network, norm, lipschitz_bound(network, norm).value)

    def values(self, rows: Rows) -> tuple[Array, float]:
        """f at rows [n, d] in binary64, and the largest error of any value."""
        outputs, error = [], 0.0
        for start in range(0, len(rows), CHUNK):
            points = np.asarray(rows[start : start + CHUNK])
            points = points.reshape(len(points), *self.network.input_shape)
            found = evaluate(self.network, points, "real", norm=self.norm)
            outputs.append(found.logits[:, 0])
            error = max(error, float(np.max(found.error)))
        return np.concatenate(outputs), error

    def scaled(self, gap: float, error: float) -> float:
        """(gap - error) / Lipschitz bound, rounded down; a negative gap gives the trivial 0."""
        if not self.lipschitz > 0 or not gap - error > 0:
            return 0.0
        return float((gap - error) / self.lipschitz * (1 - 2.0**-50))


def critic_lower(
    critic: SavedCritic,
    values: tuple[Array, float],
    others: tuple[Array, float],
    measures: Measures,
) -> Bound:
    """Proven lower bound of W1 between the samples: their gap of f over its constant.

    |sum a f(x) - sum b f(y)| <= L W1 for every L-Lipschitz f. Taken off: what the evaluation may
    be wrong by on each side, and the rounding of weights and sums.
    """
    (f_x, e_x), (f_y, e_y) = values, others
    a, b = normalised(measures.x_weights, len(f_x)), normalised(measures.y_weights, len(f_y))
    gap = abs(math.fsum(a * f_x) - math.fsum(b * f_y))  # -f is as Lipschitz as f
    size = float(np.abs(f_x).max() + np.abs(f_y).max())
    error = (e_x + e_y) * (1 + 2.0**-40) + 16 * 2.0**-53 * size
    value = critic.scaled(gap, error)
    method = "the critic's gap over its Lipschitz bound, all rounding errors taken off"
    return Bound("lower", value, "proven", method, SAMPLES)


def confidence_lower(
    critic: SavedCritic,
    seen: tuple[float, float],
    held_out: tuple[Rows, Rows],
    alpha: float,
) -> list[Bound]:
    """Lower bounds of W1 between the populations, with confidence 1 - alpha.

    The critic and the interval ``seen`` (its range on samples of training) were fixed before the
    held-out points were looked at. Clipped to the interval f is still Lipschitz, and a bound of
    E clip f(X) - E clip f(Y) over the constant is a bound of W1. Evaluation errors are part of each
    bound, in the way that it allows.
    """
    low, high = seen
    if not low < high:
        return []
    (f_x, e_x), (f_y, e_y) = (critic.values(rows) for rows in held_out)
    differences, lowest, highest = paired_differences(f_x, f_y, low, high)
    error = (e_x + e_y) * (1 + 2.0**-40) + 2.0**-46 * max(abs(low), abs(high))
    results = []
    for name, bound in BOUNDS.items():
        value = critic.scaled(bound(differences, lowest, highest, alpha, error), 0.0)
        method = f"{name} bound on {len(f_x):,} + {len(f_y):,} points that the critic never saw"
        evidence = f"confidence {1 - alpha:g}"
        results.append(Bound("lower", value, evidence, method, POPULATIONS))
    return results


def sample_transport(
    measures: Measures,
    norm: str,
    limit: int,
    rng: np.random.Generator,
    progress: Any = None,
    known: Transport | None = None,
) -> tuple[list[Bound], Transport | None]:
    """Bounds of W1 between the samples: exact where it fits, else the upper one of a coupling.

    Points on a line are never too many. ``known``: their exact transport, where it was solved
    before. What is called exact is known to 1e-6 of it; else the words say how wide the interval
    is.
    """
    n, m = len(measures.x), len(measures.y)
    if max(n, m) <= limit or measures.x.shape[1:] == (1,):
        exact = known or exact_transport(*measures, norm=norm)
        words = f"exact transport of {n:,} + {m:,} points"
        if exact.width > TIGHT:
            words = f"transport of {n:,} + {m:,} points, known to {exact.width:.1g} of it only"
        return [
            Bound("upper", exact.upper, "proven", f"{words}, its coupling", SAMPLES),
            Bound("lower", max(0.0, exact.lower), "proven", f"{words}, its dual", SAMPLES),
        ], exact
    value = blocked_upper(
        measures.x, measures.y, *measures[2:], norm=norm, rng=rng, progress=progress
    )
    words = f"a coupling of {n:,} + {m:,} points: exact transport of random blocks of 2,000"
    return [Bound("upper", value, "proven", words, SAMPLES)], None


def population_upper(
    empirical: Bound, diameters: tuple[float, float], sizes: tuple[int, int], alpha: float
) -> Bound:
    """Upper bound for the populations from the samples' transport, bounded supports."""
    value = transport_upper(empirical.value, diameters, sizes, alpha)
    method = "exact transport of the samples plus McDiarmid's term for their bounded supports"
    return Bound("upper", value, f"confidence {1 - alpha:g}", method, POPULATIONS)


def sinkhorn_value(measures: Measures, norm: str, regularisation: float) -> Bound:
    """<G, C> of the entropic plan G: empirical, neither a lower nor an upper bound of W1.

    The plan meets the marginals only up to the solver's tolerance.
    """
    import ot

    a = normalised(measures.x_weights, len(measures.x))
    b = normalised(measures.y_weights, len(measures.y))
    i, j = np.flatnonzero(a), np.flatnonzero(b)  # the solver takes logarithms of weights
    a, b = a[i], b[j] * (a.sum() / b.sum())
    cost = costs(measures.x[i], measures.y[j], norm)
    plan = ot.sinkhorn(
        a,
        b,
        cost,
        regularisation,
        method="sinkhorn_log",
        numItermax=2000,
        warn=False,
    )
    method = f"Sinkhorn with regularisation {regularisation:g}: cost of the entropic plan"
    return Bound("value", float(np.vdot(plan, cost)), "empirical", method, SAMPLES)


def sliced_value(measures: Measures, directions: int, rng: np.random.Generator) -> Bound:
    """Mean W1 of ``directions`` projections on random lines: at most W1, another distance.

    Projections on unit vectors are 1-Lipschitz in L2, so each term, and their mean, is at most W1.
    """
    a = None if measures.x_weights is None else normalised(measures.x_weights, len(measures.x))
    b = None if measures.y_weights is None else normalised(measures.y_weights, len(measures.y))
    values = projected_distances(measures.x, measures.y, directions, rng, a, b)
    method = f"sliced distance over {directions} directions: not W1, at most W1 in L2"
    return Bound("value", float(values.mean()), "empirical", method, SAMPLES)


CERTIFIED_NUMBERS = 2**26
"""Coordinates and weights of samples that are stored with a certificate (512 MiB of float64)."""


def certificate(directory: Path, model: Path, measures: Measures, norm: str, source: str) -> float:
    """Write the certificate of the proven lower bound into ``directory``; the value it claims."""
    from lipsort_cli.certificates import issue_w1_certificate

    shape = load_network(model).input_shape
    issued = issue_w1_certificate(
        directory,
        model,
        np.asarray(measures.x[:]).reshape(-1, *shape),
        np.asarray(measures.y[:]).reshape(-1, *shape),
        x_weights=measures.x_weights,
        y_weights=measures.y_weights,
        norm=norm,
        source=source,
    )
    return issued.value


def certificate_if_small(
    directory: Path, model: Path, measures: Measures, norm: str, source: str, fewer: str
) -> float | None:
    """As :func:`certificate`; a warning where the samples are too many to be stored beside it.

    ``fewer``: the key that takes fewer.
    """
    numbers = (len(measures.x) + len(measures.y)) * (1 + math.prod(load_network(model).input_shape))
    if numbers > CERTIFIED_NUMBERS:
        warn(
            f"no certificate: it stores its samples, and these hold {numbers:,} numbers; {fewer} "
            "takes a part of them"
        )
        return None
    return certificate(directory, model, measures, norm, source)
