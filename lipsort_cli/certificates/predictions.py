"""What a network says of inputs without labels, and how far each answer is proven to hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lipsort_cli.certificates.points import (
    certify_points,
    check_inputs,
    issued_routes,
    require_classifier,
)
from lipsort_cli.errors import UsageError
from lipsort_cli.verifier.bounds import Route
from lipsort_cli.verifier.graph import Network
from lipsort_cli.verifier.rounding import down, norm_up

if TYPE_CHECKING:
    from lipsort_cli.data.unseen import Batch, Unseen
    from lipsort_cli.trained import Predictor


class Predictions(NamedTuple):
    """Of each input ``[N]``: its class and the one that comes next (int64), by how much the first
    logit is ahead (float64, empirical: of binary64), and its certified radius (float64, proven; 0.0
    where nothing is certified). ``names``: those of the classes, numbers where they have none.
    """

    classes: NDArray[np.int64]
    runner_up: NDArray[np.int64]
    margins: NDArray[np.float64]
    radii: NDArray[np.float64]
    names: tuple[str, ...]


def predict_points(
    network: Network,
    inputs: ArrayLike,
    *,
    norm: str,
    arithmetic: str,
    units: str = "raw",
    routes: Sequence[Route] | None = None,
    values: NDArray[Any] | None = None,
    off: NDArray[np.float64] | None = None,
    names: Sequence[str] = (),
) -> Predictions:
    """Classes and certified radii of ``inputs``, float ``[N, *input_shape]``.

    Every ``x'`` with ``||x' - x|| <= radius`` that the arithmetic represents gets the class of
    ``x``. ``units``: ``raw``, or ``deviations``: ``||(x' - x) / std|| <= radius``, of a network
    whose first layer divides by ``std``, in real arithmetic. ``values``: the numbers that were
    rounded to ``inputs``; radii are then about these, or whatever lies at most ``off`` from them in
    each component. ``routes``: as :func:`certify_points`.

    Raises:
        UsageError: a network of one output, inputs of another shape, or no standard deviations.
    """
    require_classifier(network)
    array = check_inputs(network, inputs)
    points = certify_points(network, array, None, norm=norm, arithmetic=arithmetic, routes=routes)
    radii, scale = points.radii, np.ones(())
    if units == "deviations":
        radii = deviation_radii(network, array, points.predictions, norm=norm)
        scale = _scale(network)[1]
    if values is not None:
        # Differences of a number and the float32 nearest to it are exact, also of long doubles;
        # these are then rounded to binary64, once.
        wide = np.result_type(values, np.float64)
        apart = np.abs((np.asarray(values, wide) - array).astype(np.float64))
        moved = (apart if off is None else apart + off).reshape(len(array), -1) / scale
        radii = np.maximum(down(radii - norm_up(moved, norm) * (1 + 2.0**-50)), 0.0)
    row = np.arange(len(array))
    logits = np.where(np.isnan(points.logits), -np.inf, points.logits)
    first = logits[row, points.predictions]
    logits[row, points.predictions] = -np.inf
    second = logits.argmax(1)
    with np.errstate(invalid="ignore"):
        margins = first - logits[row, second]
    known = tuple(names) or tuple(map(str, range(network.classes)))
    return Predictions(points.predictions, second, margins, radii, known)


def predicted(
    predictor: Predictor, unseen: Unseen, *, norm: str, arithmetic: str, units: str = "raw"
) -> Iterator[tuple[Batch, Predictions]]:
    """Each batch of new data, with what the run's network says of it, as :func:`predict_points`."""
    network, routes = predictor.network, issued_routes(predictor.network)
    for batch in unseen.batches():
        shape = (len(batch.inputs), *network.input_shape)
        yield (
            batch,
            predict_points(
                network,
                batch.inputs.reshape(shape),
                norm=norm,
                arithmetic=arithmetic,
                units=units,
                routes=routes,
                values=batch.values.reshape(shape),
                off=None if batch.off is None else batch.off.reshape(shape),
                names=predictor.taken.classes,
            ),
        )


def deviation_radii(
    network: Network, inputs: NDArray[Any], labels: NDArray[np.int64], *, norm: str
) -> NDArray[np.float64]:
    """Radii in standard deviations ``[N]``, of a network that divides by them first.

    The network is g((x - mean) / std): what g keeps within r of z, the network keeps wherever
    ||(x' - x) / std|| <= r. z is computed in binary64, at most 3 u of itself away; that is taken
    off. Evidence: proven, in real arithmetic.

    Raises:
        UsageError: the first layer divides by nothing.
    """
    mean, std = _scale(network)
    z = (inputs.astype(np.float64) - mean) / std
    points = certify_points(behind_scale(network), z, labels, norm=norm, arithmetic="real")
    off = 2.0**-51 * norm_up(z, norm)
    return np.maximum((points.radii - off) * (1 - 2.0**-52), 0.0)


def divides_first(network: Network) -> bool:
    """Whether a network of columns divides them by standard deviations before all else."""
    return len(network.input_shape) == 1 and network.layers[0].op == "normalize"


def behind_scale(network: Network) -> Network:
    """The network of columns in standard deviations that is behind the first layer."""
    return replace(network, layers=network.layers[1:])


def _scale(network: Network) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first = network.layers[0]
    if not divides_first(network):
        raise UsageError(
            "units: found deviations; the network does not divide its inputs by their standard "
            "deviations first, as runs on tables do (data.standardise); allowed: raw"
        )
    mean, std = np.array(first.numbers, np.float64).reshape(2, -1)
    return mean, std
