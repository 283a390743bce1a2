"""Projections and steps of the adversaries: against solvers, definitions and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from lipsort_cli.attacks import deepfool, fgsm, pgd
from lipsort_cli.attacks.steps import ascent, closing, free, longest_descent, project, room
from lipsort_cli.norms import DUAL, NAMES, ORDER, lengths

NORMS = sorted(NAMES)
SHAPES = [(1, 1), (4, 1), (3, 7), (2, 1, 2, 3), (5, 250)]


def drawn(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs in [0, 1], some at its ends, and directions with ties and zeros."""
    rng = np.random.default_rng(seed)
    x = np.clip(rng.uniform(-0.3, 1.3, shape), 0, 1)
    v = rng.standard_normal(shape) * rng.choice([0.0, 0.5, 1.0, 3.0], shape)
    v = np.where(rng.random(shape) < 0.3, np.round(v), v)
    return torch.from_numpy(x), torch.from_numpy(v)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", NORMS)
def test_projections_end_in_ball_and_box(
    norm: str, shape: tuple[int, ...], bounds: tuple[float, float] | None
) -> None:
    x, v = drawn(shape)
    for eps in (1e-3, 0.3, 2.0, 1e3):
        made = project(v, eps, norm, x, bounds)
        assert bool((lengths(made, norm) <= eps * (1 + 1e-12)).all())
        assert bool((made * v >= 0).all())
        if bounds is not None:
            assert bool(((x + made >= -1e-12) & (x + made <= 1 + 1e-12)).all())
        # What is in both already stays.
        again = project(made, eps * (1 + 1e-9), norm, x, bounds)
        assert torch.allclose(again, made, atol=1e-12)


@given(st.integers(1, 6), st.floats(0.01, 3), st.booleans(), st.integers(0, 10**6))
def test_the_l1_projection_is_the_nearest_point(n: int, eps: float, box: bool, seed: int) -> None:
    x, v = drawn((1, n), seed)
    bounds = (0.0, 1.0) if box else None
    made = project(v, eps, "l1", x, bounds)
    space = room(x, v, bounds)[0].clamp_max(1e3).numpy()
    size = v[0].abs().numpy()
    found = minimize(
        lambda d: ((d - size) ** 2).sum(),
        np.zeros(n),
        jac=lambda d: 2 * (d - size),
        bounds=[(0, s) for s in space],
        constraints={"type": "ineq", "fun": lambda d: eps - d.sum(), "jac": lambda d: -np.ones(n)},
        method="SLSQP",
    )
    assert float((made - v).square().sum()) <= found.fun + 1e-6


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", NORMS)
def test_directions_climb_and_have_unit_length(norm: str, shape: tuple[int, ...]) -> None:
    _, v = drawn(shape)
    v[0].view(-1)[0] = 2.0
    step = ascent(v, norm)
    nonzero = lengths(v, "l2") > 0
    assert torch.allclose(lengths(step, norm)[nonzero], torch.ones(int(nonzero.sum())).double())
    gained = (step * v).flatten(1).sum(1)
    most = lengths(v, DUAL[norm])
    assert bool((gained <= most * (1 + 1e-12)).all())
    if norm != "l1" or v[0].numel() < 200:
        assert torch.allclose(gained, most)
    assert not ascent(torch.zeros(2, 3), norm).any()


@given(st.integers(1, 6), st.floats(0.01, 4), st.booleans(), st.integers(0, 10**6))
def test_the_l1_descent_solves_the_linear_problem(n: int, eps: float, box: bool, seed: int) -> None:
    x, g = drawn((1, n), seed)
    bounds = (0.0, 1.0) if box else None
    step = longest_descent(g, eps, "l1", x, bounds)
    value = -float((g * step).sum())
    # Up and down parts of every component.
    low, high = ((-x[0]).tolist(), (1 - x[0]).tolist()) if box else ([-eps] * n, [eps] * n)
    sides = [(0, max(h, 0)) for h in high] + [(0, max(-lo, 0)) for lo in low]
    cost = np.concatenate([g[0].numpy(), -g[0].numpy()])
    found = linprog(cost, A_ub=np.ones((1, 2 * n)), b_ub=[eps], bounds=sides)
    assert value == pytest.approx(-found.fun, abs=1e-9)
    assert float(step.abs().sum()) <= eps * (1 + 1e-12)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
@pytest.mark.parametrize("norm", NORMS)
@given(n=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_closing_a_gap_takes_the_shortest_way(
    norm: str, bounds: tuple[float, float] | None, n: int, seed: int
) -> None:
    x, g = drawn((1, n), seed)
    g = free(g, x, bounds)
    gap = torch.tensor([0.4], dtype=torch.double)
    length, step = closing(g, gap, norm, x, bounds)
    if norm == "l1" and bounds is not None:
        reachable = float((g.abs() * room(x, -g, bounds)).sum())
        assert bool(length.isinf()) == (reachable < 0.4 - 1e-12) or abs(reachable - 0.4) < 1e-9
        if length.isinf():
            return
        best = longest_descent(g, float(length), "l1", x, bounds)
        assert -float((g * best).sum()) == pytest.approx(0.4, abs=1e-9)
        assert float((x - step).min()) >= -1e-12 and float((x - step).max()) <= 1 + 1e-12
    elif g.any():
        assert float(length) == pytest.approx(0.4 / float(lengths(g, DUAL[norm])))
    if g.any():
        assert float((g * step).sum()) == pytest.approx(0.4)
        assert float(lengths(step, norm)) == pytest.approx(float(length))


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "deepfool"])
@pytest.mark.parametrize("norm", NORMS)
def test_every_adversary_finds_the_boundary_of_an_affine_classifier(norm: str, attack: str) -> None:
    """The distance is that to the hyperplane in the dual norm, inside a box that allows it."""
    rng = np.random.default_rng(3)
    normal = torch.from_numpy(rng.standard_normal(12))
    x = torch.from_numpy(rng.uniform(0.3, 0.7, (40, 12)))
    offset = float((x @ normal).median())

    def network(z: torch.Tensor) -> torch.Tensor:
        score = z @ normal - offset
        return torch.stack([score, -score], 1)

    labels = network(x).argmax(1)
    true = (x @ normal - offset).abs() / torch.linalg.vector_norm(normal, ORDER[DUAL[norm]])
    near = (true < (0.25 if norm != "l1" else 0.28)) & (true > 1e-6)
    assert int(near.sum()) > 5
    for share, expected in ((1.02, True), (0.98, False)):
        for index in near.nonzero()[:, 0].tolist():
            point, label, eps = x[index : index + 1], labels[index : index + 1], float(true[index])
            if attack == "fgsm":
                moved = fgsm(network, point, label, share * eps, norm=norm)
            elif attack == "pgd":
                _, moved = pgd(network, point, label, share * eps, norm=norm, steps=40)
            else:
                moved = deepfool(network, point, label, norm=norm)
                assert float(lengths(moved - point, norm)) == pytest.approx(eps, rel=1e-3)
                continue
            assert bool(network(moved).argmax(1) != label) == expected
            assert float(lengths(moved - point, norm)) <= share * eps * (1 + 1e-9)


def test_l1_uses_what_the_box_leaves() -> None:
    """The steepest component stands at the box's side: others move."""
    normal = torch.tensor([10.0, 1.0, 1.0]).double()

    def network(z: torch.Tensor) -> torch.Tensor:
        score = z @ normal - 0.5
        return torch.stack([score, -score], 1)

    x = torch.tensor([[0.0, 0.9, 0.9]]).double()
    label = torch.tensor([0])
    for moved in (
        fgsm(network, x, label, 1.4, norm="l1"),
        pgd(network, x, label, 1.4, norm="l1", steps=30)[1],
        deepfool(network, x, label, norm="l1"),
    ):
        assert int(network(moved).argmax()) == 1
        assert float((moved - x).abs().sum()) <= 1.4 + 1e-9
        assert float(moved.min()) >= 0 and float(moved.max()) <= 1
