"""PGD: finds what is there, stays in the ball and in the box."""

from __future__ import annotations

import pytest
import torch

from lipsort_cli.attacks import pgd


def affine(x: torch.Tensor) -> torch.Tensor:
    """Two classes divided by the hyperplane x_0 = 0.5 of [N, 3]."""
    score = x[:, 0] - 0.5
    return torch.stack([score, -score], 1)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_finds_the_boundary_of_an_affine_classifier(norm: str) -> None:
    x = torch.tensor([[0.6, 0.3, 0.3], [0.9, 0.5, 0.5], [0.4, 0.1, 0.1]])
    labels = torch.zeros(3, dtype=torch.long)
    fooled, moved = pgd(affine, x, labels, 0.2, norm=norm)
    assert fooled.tolist() == [True, False, True]
    order = 2 if norm == "l2" else float("inf")
    assert float((moved - x).norm(order, dim=1).max()) <= 0.2 + 1e-6


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_stays_in_the_box(norm: str, restarts: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(20, 3)
    labels = torch.randint(0, 2, (20,))
    _, moved = pgd(affine, x, labels, 0.5, norm=norm, restarts=restarts)
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    _, free = pgd(affine, x, labels, 0.5, norm=norm, restarts=restarts, bounds=None)
    assert float(free.min()) < 0 or float(free.max()) > 1


def test_ties_and_nan_count_as_fooled() -> None:
    x = torch.zeros(2, 3)
    labels = torch.zeros(2, dtype=torch.long)
    assert pgd(lambda z: 0 * z[:, :2], x, labels, 0.1)[0].all()
    assert pgd(lambda z: z[:, :2] * torch.nan, x, labels, 0.1)[0].all()


def test_more_restarts_never_find_less() -> None:
    torch.manual_seed(0)
    weights = [torch.randn(8, 3), torch.randn(3, 8)]

    def network(x: torch.Tensor) -> torch.Tensor:
        return (x @ weights[0].T).sin() @ weights[1].T

    x = torch.rand(200, 3)
    labels = network(x).argmax(1)
    generator = torch.Generator().manual_seed(0)
    once = pgd(network, x, labels, 0.1)[0]
    often = pgd(network, x, labels, 0.1, restarts=5, generator=generator)[0]
    assert bool((often | ~once).all())
    assert 0 < int(once.sum()) < 200


def test_no_points_are_attacked_in_any_network() -> None:
    network = torch.nn.Sequential(
        torch.nn.PixelUnshuffle(2), torch.nn.Conv2d(4, 2, 2), torch.nn.Flatten()
    )
    fooled, moved = pgd(network, torch.empty(0, 1, 4, 4), torch.empty(0, dtype=torch.long), 0.1)
    assert fooled.shape == (0,) and fooled.dtype == torch.bool and moved.shape == (0, 1, 4, 4)
