"""The few figures of a network that are worth logging while it is trained."""

from __future__ import annotations

from torch import Tensor, nn

from lipsort_cli.inspection.activity import activities
from lipsort_cli.inspection.jacobian import jacobians

SPLIT = "diagnostics"
"""Name of these lines' ``split`` in ``metrics.jsonl``."""


def diagnostics(
    network: nn.Sequential, inputs: Tensor, labels: Tensor, norm: str = "l2"
) -> dict[str, float]:
    """Figures of ``network`` at ``inputs`` [N, ...] of the classes ``labels`` [N].

    All of it is empirical, means over the points: ``jacobian_sigma_max``, ``_mean``, ``_min`` (of
    the singular values of the outputs' Jacobian), ``gradient_norm.<d>`` (of the margin, dual to
    ``norm``, depth 0 is the input), ``gradient_kept`` (at the input over before the last layer,
    known scalings divided out), ``active_units.<a>`` (activation a from 1, see
    :mod:`lipsort_cli.inspection.activity` for what is counted), ``frequent_units.<a>`` (share of
    them that are active at 80 % of the inputs or more). Nothing random is drawn, and the
    network stays as it is.
    """
    depths = jacobians(network, inputs)
    sigma = depths.singular_values()[0]
    norms = depths.gradient_norms(labels, norm)
    values = {
        "jacobian_sigma_max": float(sigma[:, 0].mean()),
        "jacobian_sigma_mean": float(sigma.mean()),
        "jacobian_sigma_min": float(sigma[:, -1].mean()),
        "gradient_kept": float(depths.kept(norms).nanmean()),
    }
    for depth, norm_there in enumerate(norms.mean(0).tolist()):
        values[f"gradient_norm.{depth}"] = norm_there
    for number, activity in enumerate(activities(network, inputs), start=1):
        values[f"active_units.{number}"] = activity.share
        values[f"frequent_units.{number}"] = activity.frequent
    return values
