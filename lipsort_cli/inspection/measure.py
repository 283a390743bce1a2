"""Everything that `lipsort inspect` measures of one network, as plain figures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lipsort_cli.arithmetic import certified_arithmetic
from lipsort_cli.inspection.activity import Activity, activities
from lipsort_cli.inspection.jacobian import jacobians
from lipsort_cli.inspection.operators import LINEAR, Spectrum, layer_spectra
from lipsort_cli.layers.constants import lipschitz_constant
from lipsort_cli.norms import DUAL

Array = NDArray[np.float64]
_CHUNK = 8
"""Points whose Jacobians are in memory together."""


@dataclass(frozen=True)
class Measured:
    """One network at N points with D + 1 depths (0 is the input).

    ``sigma[d]`` [N, k_d]: singular values of the outputs' Jacobian at each depth, descending;
    ``norms`` [N, D + 1] of the margin's gradient, dual to ``norm``; ``gradients`` [N, *shape] of
    the margin with respect to the input; ``scaling``: product of the known scalings;
    ``all_linear``: every layer with weights is linear; ``others``: product of the L2 constants of
    the layers without weights, scalings and pools among them; NaN where one has none.
    """

    layers: list[Spectrum]
    depths: list[str]
    sigma: list[Array]
    norms: Array
    gradients: NDArray[np.float32]
    inputs: NDArray[np.float32]
    activities: list[Activity]
    scaling: float
    norm: str
    all_linear: bool = True
    others: float = 1.0

    @property
    def kept(self) -> Array:
        """Share [N] of the gradient's norm that arrives at the input; NaN where none set out."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Array = self.norms[:, 0] / (self.norms[:, -1] * self.scaling)
        return np.where(np.isfinite(found), found, np.nan)

    @property
    def layer_product(self) -> float:
        """Product of the layers' largest singular values and the others' constants, as computed.

        NaN where layers are not all in a row (inside branches a product means nothing), or not all
        linear: distances and potentials have no singular values.
        """
        if not self.all_linear or any("." in layer.name for layer in self.layers):
            return float("nan")
        return float(np.prod([layer.values[0] for layer in self.layers]) * self.others)


@certified_arithmetic()
def measure(
    network: nn.Sequential, inputs: Tensor, labels: Tensor | None = None, norm: str = "l2"
) -> Measured:
    """Measure ``network`` at ``inputs`` [N, ...]; classes ``labels`` [N], None: as it classifies.

    Everything is empirical: computed in floating point, at these points.
    """
    if labels is None:
        with torch.no_grad():
            labels = network(inputs).flatten(1).argmax(1)
    sigma: list[list[Array]] = []
    norms, gradients = [], []
    for x, y in zip(inputs.split(_CHUNK), labels.split(_CHUNK), strict=True):
        found = jacobians(network, x)
        sigma.append([values.numpy() for values in found.singular_values()])
        norms.append(found.gradient_norms(y, norm).numpy())
        gradients.append(found.margin_gradients(y)[0].reshape(x.shape).numpy())
    return Measured(
        layer_spectra(network, inputs[:1]),
        found.names,
        [np.concatenate(at_depth) for at_depth in zip(*sigma, strict=True)],
        np.concatenate(norms),
        np.concatenate(gradients),
        inputs.numpy(),
        activities(network, inputs),
        found.scaling,
        norm,
        all(_is_linear(module) for module in network.modules()),
        _others(network),
    )


def _others(network: nn.Sequential) -> float:
    """Product of the L2 constants of the layers in a row that have no singular values."""
    try:
        return math.prod(
            lipschitz_constant(one, "l2") for one in network if not isinstance(one, LINEAR)
        )
    except TypeError:
        return math.nan


def _is_linear(module: nn.Module) -> bool:
    """Whether ``module`` has no weights of its own, or is a layer that has singular values."""
    return isinstance(module, LINEAR) or not any(True for _ in module.parameters(recurse=False))


def alignment(gradients: NDArray[np.float32], inputs: NDArray[np.float32]) -> Array:
    """|cos| of the angle between gradient and input, for each of N points, in [0, 1].

    The alignment of Etmann, Lunz, Maass and Schoenlieb, "On the connection between adversarial
    robustness and saliency map interpretability" (ICML 2019), divided by the input's norm. NaN
    where either is zero.
    """
    g, x = (a.reshape(len(a), -1).astype(np.float64) for a in (gradients, inputs))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.abs((g * x).sum(1)) / (
            np.linalg.norm(g, axis=1) * np.linalg.norm(x, axis=1)
        )
    return found


def smoothness(gradients: NDArray[np.float32]) -> Array:
    """Correlation of neighbouring pixels of each gradient [C, H, W], around zero.

    sum g_p g_q over horizontal and vertical neighbours p, q, over half the sum of g_p^2 + g_q^2: 1
    for a constant picture, 0 in expectation for white noise, -1 for a chessboard; NaN for zero.
    """
    g = gradients.astype(np.float64)
    product = np.zeros(len(g))
    energy = np.zeros(len(g))
    for a, b in ((g[..., 1:, :], g[..., :-1, :]), (g[..., :, 1:], g[..., :, :-1])):
        product += (a * b).sum((1, 2, 3))
        energy += (a * a + b * b).sum((1, 2, 3)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = product / energy
    return found


def is_image(inputs: NDArray[np.float32]) -> bool:
    """Whether points [N, ...] are pictures of one or three channels."""
    return inputs.ndim == 4 and inputs.shape[1] in (1, 3) and min(inputs.shape[2:]) > 1


def _layers(measured: Measured) -> dict[str, Any]:
    found: dict[str, Any] = {
        "evidence": "empirical",
        "by_layer": [
            {
                "name": layer.name,
                "type": layer.type,
                "shape": list(layer.shape),
                "sigma_max": float(layer.values[0]),
                "sigma_mean": float(layer.values.mean()),
                "sigma_min": float(layer.values[-1]),
                "count": len(layer.values),
                "complete": layer.complete,
            }
            for layer in measured.layers
        ],
    }
    if np.isfinite(measured.layer_product):
        found["product_of_largest"] = measured.layer_product
    return found


def entries(measured: Measured) -> dict[str, Any]:
    """The figures of ``inspect.json``, without their interpretation."""
    first = measured.sigma[0]
    kept = measured.kept[np.isfinite(measured.kept)]

    def by_depth(figures: Iterable[dict[str, float]]) -> list[dict[str, Any]]:
        named = zip(measured.depths, figures, strict=True)
        return [{"depth": d, "layer": name, **found} for d, (name, found) in enumerate(named)]

    return {
        "layers": _layers(measured),
        "jacobian": {
            "evidence": "empirical",
            **_sigma(first),
            "by_depth": by_depth(map(_sigma, measured.sigma)),
        },
        "gradient_norm": {
            "evidence": "empirical",
            "norm": DUAL[measured.norm],
            **({"kept": float(kept.mean())} if len(kept) else {}),
            "by_depth": by_depth(
                {"mean": float(norms.mean()), "min": float(norms.min()), "max": float(norms.max())}
                for norms in measured.norms.T
            ),
        },
        "activations": {
            "evidence": "empirical",
            "by_layer": [
                {key: value for key, value in vars(one).items() if value is not None}
                for one in measured.activities
            ],
        },
    }


def _sigma(values: Array) -> dict[str, float]:
    """Means over the points of the largest, all, and the smallest singular values."""
    return {
        "sigma_max": float(values[:, 0].mean()),
        "sigma_mean": float(values.mean()),
        "sigma_min": float(values[:, -1].mean()),
    }
