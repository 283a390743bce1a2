"""The answer: bounds of W1, each with what it is about, its evidence and its method."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.certificates.points import evaluate, lipschitz_bound, load_network
from lipsort_cli.certificates.w1 import issue_w1_certificate
from lipsort_cli.config.distributions import DatasetDistribution, FilesDistribution
from lipsort_cli.console import warn
from lipsort_cli.directed_text import at_least, at_most, confidence
from lipsort_cli.verifier.graph import Network
from lipsort_cli.wasserstein.confidence import BOUNDS, paired_differences, transport_upper
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

_BLOCK = 64
"""Directions projected on at once: one matrix product, and memory for so many columns."""


def projected_distances(
    x: Any,
    y: Any,
    directions: int,
    rng: np.random.Generator,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
) -> Array:
    """W1 of x [n, d] and y [m, d] projected on each of ``directions`` lines, [directions].

    Lines are uniform on the sphere. Projections on unit vectors are 1-Lipschitz in L2, so every
    entry, and their mean, is at most W1 (Rabin, Peyre, Delon and Bernot, 2011).

    Example:
        >>> cloud = np.zeros((3, 2))
        >>> float(projected_distances(cloud, cloud, 5, np.random.default_rng(0)).max())
        0.0
    """
    import ot

    x, y = (np.asarray(rows[:], dtype=np.float64) for rows in (x, y))
    parts = []
    for start in range(0, directions, _BLOCK):
        lines = rng.standard_normal((min(_BLOCK, directions - start), x.shape[1]))
        lines /= np.linalg.norm(lines, axis=1, keepdims=True)
        p, q = x @ lines.T, y @ lines.T
        if len(p) == len(q) and x_weights is None and y_weights is None:
            # The optimal coupling on a line pairs equal ranks.
            p.sort(axis=0)
            q.sort(axis=0)
            parts.append(np.abs(p - q).mean(0))
        else:
            parts.append(np.atleast_1d(ot.wasserstein_1d(p, q, x_weights, y_weights, p=1)))
    return np.concatenate(parts)


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
    critic: SavedCritic, seen: tuple[float, float], held_out: tuple[Rows, Rows], alpha: float
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
        method = f"{name} bound on {len(f_x):,} + {len(f_y):,} points held out, independent draws"
        results.append(Bound("lower", value, confidence(alpha), method, POPULATIONS))
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
            words = (
                f"transport of {n:,} + {m:,} points, known to {at_most(exact.width, 1)} of it only"
            )
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
    return Bound("upper", value, confidence(alpha), method, POPULATIONS)


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
        a, b, cost, regularisation, method="sinkhorn_log", numItermax=2000, warn=False
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
    numbers = (len(measures.x) + len(measures.y)) * (1 + math.prod(measures.x.shape[1:]))
    if numbers > CERTIFIED_NUMBERS:
        warn(
            f"no certificate: it stores its samples, and these hold {numbers:,} numbers; {fewer} "
            "takes a part of them"
        )
        return None
    return certificate(directory, model, measures, norm, source)


# --- what they come to, in words ---------------------------------------------------------------


def directed(bound: dict[str, Any]) -> tuple[str, str]:
    """In which direction a bound holds, and its value rounded in that direction."""
    value = float(bound["value"])
    if bound["kind"] == "lower":
        return "at least", at_least(value)
    if bound["kind"] == "upper":
        return "at most", at_most(value)
    return "about", f"{value:.6g}"


def sides(distribution: Any) -> str:
    """The two sides of a configured pair, by the names that their user knows them under."""
    if isinstance(distribution, FilesDistribution):
        return f"{Path(distribution.p).name} and {Path(distribution.q).name}"
    if isinstance(distribution, DatasetDistribution):
        return f"{distribution.dataset} {distribution.p} and {distribution.q}"
    if distribution.name == "generator":
        return "generated samples and data"
    return f"P and Q of {distribution.name}"


def verdict(distribution: Any, results: dict[str, Any]) -> list[str]:
    """The lines: of the samples compared, and, where anything is known of them, the populations."""
    best = _best_lower(results)
    interval = _interval(best, results["upper_bound"])
    lines = [f"W1 between {sides(distribution)}: {interval} ({best['about']})"]
    lower, upper = (results.get(f"population_{kind}_bound") for kind in ("lower", "upper"))
    if lower is not None or upper is not None:
        lines.append(f"W1 between their populations: {_interval(lower, upper)}")
    return lines


def _best_lower(results: dict[str, Any]) -> dict[str, Any]:
    """The critic's bound, or that of the exact transport where it is larger and as certain."""
    own: dict[str, Any] = results["lower_bound"]
    same = [
        bound for bound in results.get("bounds", [])
        if all(bound[key] == own[key] for key in ("kind", "evidence", "about"))
    ]  # fmt: skip
    return max([own, *same], key=lambda bound: float(bound["value"]))


def _interval(lower: dict[str, Any] | None, upper: dict[str, Any] | None) -> str:
    """``in [a, b], proven``; one end alone where the other is unknown or of other evidence."""
    # A distance is at least 0, whatever a critic says.
    low = None if lower is None else f"{at_least(max(0.0, float(lower['value'])))}"
    high = None if upper is None else at_most(float(upper["value"]))
    if lower is not None and upper is not None and lower["evidence"] == upper["evidence"]:
        each = " each" if lower["evidence"].startswith("confidence") else ""
        return f"in [{low}, {high}], {lower['evidence']}{each}"
    ends = [
        f"{word} {value}, {bound['evidence']}"
        for word, value, bound in (("at least", low, lower), ("at most", high, upper))
        if bound is not None
    ]
    return "; ".join(ends)
