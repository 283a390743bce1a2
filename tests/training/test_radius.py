"""Quick radii: against brute force on an affine classifier, and against the proven ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lipsort_cli.certificates.points import certify_points, issued_routes, load_network
from lipsort_cli.layers import Dense, Normalize
from lipsort_cli.layers.constraints import Unconstrained
from lipsort_cli.training.radius import best_route, body_constant, head_gaps, radii
from lipsort_cli.zoo import Network, build_mlp, save_network


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
def test_affine_classifier(norm: str) -> None:
    torch.manual_seed(0)
    head = torch.randn(4, 6)
    x = torch.randn(50, 6)
    labels = torch.randint(0, 4, (50,))
    layer = Dense(6, 4, constraint=Unconstrained())
    with torch.no_grad():
        layer.parameter.copy_(head)
    found = radii(x @ head.T, labels, head_gaps(layer, norm), 1.0)
    for row, label, value in zip(x, labels, found, strict=True):
        distances = []
        for other in range(4):
            if other == int(label):
                continue
            w = head[label] - head[other]
            dual = {"l2": w.norm(), "linf": w.abs().sum(), "l1": w.abs().max()}[norm]
            distances.append(float(w @ row / dual))
        assert float(value) == pytest.approx(min(distances), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@pytest.mark.parametrize("lipschitz", [1.0, 2.5])
def test_agrees_with_the_proven_radii_from_below(
    tmp_path: Path, norm: str, lipschitz: float
) -> None:
    torch.manual_seed(0)
    network = build_mlp((6,), 3, [8, 8], lipschitz=lipschitz).eval()
    save_network(network, tmp_path / "model.safetensors")
    x, labels = torch.randn(64, 6), torch.randint(0, 3, (64,))
    plain = load_network(tmp_path / "model.safetensors")
    # Without the first layer's mixed norms, of which the estimate knows nothing.
    proven = certify_points(
        plain,
        x.numpy(),
        labels.numpy(),
        norm=norm,
        arithmetic="real",
        routes=[route for route in issued_routes(plain) if route.inputs == route.norm],
    )
    with torch.no_grad():
        via, constant = best_route(network, norm)
        quick = radii(network(x), labels, head_gaps(network.head, via), constant)
    quick = quick.clamp_min(0).numpy()
    assert via == "l2"  # the network's weights are orthonormal
    places = proven.route == proven.via.index(via)
    assert abs(proven.radii - quick)[places].max() < 1e-4
    # The other routes are tried for each point; here for one estimate of all.
    assert (proven.radii >= quick - 1e-4).all()
    assert places.mean() > 0.9


def test_body_constant_multiplies_every_layer() -> None:
    layer = Dense(2, 2, constraint=Unconstrained())
    with torch.no_grad():
        layer.parameter.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    network = Network(
        [Normalize([0.0], [0.5]), nn.Flatten(), layer, nn.Sigmoid(), Dense(2, 2)], (1, 2), 2
    )
    assert body_constant(network, "l2") == pytest.approx(2 * 4 * 0.25)
    assert body_constant(network, "linf") == pytest.approx(2 * 4 * 0.25)
