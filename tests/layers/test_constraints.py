"""Constraint sets: membership, right inverses, steps of every optimizer, over many shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.config.learning import (
    AdamOptimizer,
    AggmoOptimizer,
    SgdOptimizer,
    StiefelAdamOptimizer,
    StiefelOptimizer,
)
from lipsort_cli.layers import Dense
from lipsort_cli.layers.constraints import (
    Aol,
    Bjorck,
    Constraint,
    LinfForward,
    LinfProjection,
    LinfSoftmax,
    Orthonormal,
    Parseval,
    RowsL2,
    Spectral,
    SpectralBall,
    Unconstrained,
    orthonormality_error,
    polar_factor,
    project_rows_l1,
)
from lipsort_cli.layers.constraints.polynomials import bjorck_step
from lipsort_cli.optim import build_optimizer

SHAPES = [(1, 7), (7, 1), (1, 1), (10, 10), (5, 12), (12, 5)]
CONSTRAINTS = [
    Orthonormal(),
    *(Bjorck(order=order, iterations=25) for order in (1, 2, 3, 4)),
    Spectral(),
    SpectralBall(),
    Aol(),
    LinfSoftmax(),
    LinfProjection(),
    LinfForward(),
    RowsL2(),
    Parseval(),
    Unconstrained(),
]
OPTIMIZERS = [
    StiefelOptimizer(),
    StiefelAdamOptimizer(lr=0.01),
    AdamOptimizer(lr=0.01),
    SgdOptimizer(lr=0.01),
    AggmoOptimizer(),
]


def identify(value: object) -> str:
    order = getattr(value, "order", "")
    return f"{type(value).__name__}{order}"


def steps(layer: Dense, config: object, number: int, scale: float = 1.0) -> None:
    optimizer = build_optimizer(layer, config)
    for _ in range(number):
        optimizer.zero_grad()
        (scale * layer(torch.randn(16, layer.in_features)).square().sum()).backward()
        optimizer.step()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=identify)
@pytest.mark.parametrize("config", OPTIMIZERS, ids=identify)
def test_members_stay_members_through_training(
    shape: tuple[int, int], constraint: Constraint, config: object
) -> None:
    torch.manual_seed(0)
    layer = Dense(shape[1], shape[0], constraint=constraint).train()
    assert constraint.contains(layer.weight)
    # Parseval takes one step back only, so it follows small steps alone.
    steps(layer, config, 5, scale=1e-3 if isinstance(constraint, Parseval) else 1.0)
    layer.eval()
    assert constraint.contains(layer.weight), constraint.violation(layer.weight)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.floats(1e-5, 2.0),
    st.floats(-12, 12),
    st.integers(0, 2**31),
)
def test_stiefel_steps_keep_orthonormality_whatever_the_step(
    rows: int, columns: int, lr: float, log_scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = Dense(columns, rows)
    optimizer = build_optimizer(layer, StiefelOptimizer(lr=lr))
    for _ in range(3):
        layer.parameter.grad = torch.randn(rows, columns) * 10**log_scale
        optimizer.step()
        assert orthonormality_error(layer.weight) <= 1e-5


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=identify)
def test_right_inverse(constraint: Constraint) -> None:
    constraint.eval()
    weight = constraint.sample(6, 9)
    again = constraint(constraint.right_inverse(weight))
    assert torch.allclose(again, weight, atol=1e-5)


@pytest.mark.parametrize(
    "constraint",
    [
        *(Orthonormal(), LinfProjection(), LinfForward(), LinfSoftmax(), Aol()),
        *(RowsL2(), Spectral(), SpectralBall()),
    ],
    ids=identify,
)
def test_right_inverse_refuses_what_is_outside(constraint: Constraint) -> None:
    with pytest.raises(ValueError, match="found"):
        constraint.right_inverse(torch.full((3, 4), 2.0))


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=identify)
def test_nan_is_no_member(constraint: Constraint) -> None:
    assert not constraint.contains(torch.full((3, 4), float("nan")))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bjorck_agrees_with_the_svd(order: int) -> None:
    torch.manual_seed(1)
    x = torch.randn(8, 13, dtype=torch.double)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    y = x / torch.linalg.matrix_norm(x, 2)
    for _ in range(40):
        y = bjorck_step(y, order)
    assert torch.allclose(y, u @ vh, atol=1e-10)
    assert torch.allclose(polar_factor(x), u @ vh, atol=1e-7)


@pytest.mark.parametrize(
    ("order", "radius"), [(1, 3**0.5), (2, (7 / 3) ** 0.5), (3, 1.5894), (4, 1.4943)]
)
def test_radius_of_convergence(order: int, radius: float) -> None:
    inside = torch.linspace(1e-2, radius - 1e-3, 400, dtype=torch.double)
    outside = torch.linspace(radius + 1e-3, radius + 0.05, 20, dtype=torch.double)
    for start, converges in [(inside, True), (outside, False)]:
        x = start.view(-1, 1, 1)
        for _ in range(2000):
            x = bjorck_step(x, order)
        found = (x.flatten() - 1).abs() < 1e-6
        assert bool((found == converges).all()), start[found != converges]
    assert radius > 1.1 * Bjorck.LIMIT


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("second", [0.3, 0.9, 1e-3])
@pytest.mark.parametrize("shape", [(64, 64), (64, 96), (96, 64)], ids=str)
def test_bjorck_converges_where_power_iteration_misses_the_leading_vector(
    order: int, second: float, shape: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    rank = min(shape)
    right = torch.randn(shape[1], rank, dtype=torch.double)
    right[:, 0] -= right[:, 0].mean()  # orthogonal to the start of the power iteration
    right = torch.linalg.qr(right).Q
    left = torch.linalg.qr(torch.randn(shape[0], rank, dtype=torch.double)).Q
    values = torch.full((rank,), second, dtype=torch.double)
    values[0] = 1.0
    parameter = ((left * values) @ right.mT).float()
    constraint = Bjorck(order=order, iterations=40).train()
    assert torch.allclose(constraint(parameter).double(), left @ right.mT, atol=1e-3)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-3, 1.0, 1e3, 1e30])
def test_bjorck_is_defined_for_every_parameter(scale: float) -> None:
    torch.manual_seed(0)
    for parameter in (torch.eye(8), torch.ones(8, 5), torch.randn(5, 8), torch.zeros(3, 3)):
        weight = Bjorck(order=2, iterations=15).train()(scale * parameter)
        assert torch.linalg.matrix_norm(weight, 2) <= 1 + 0.1
        assert torch.isfinite(weight).all()


def test_bjorck_order_one_never_exceeds_one() -> None:
    values = torch.linspace(0, 1, 1001, dtype=torch.double)
    for value in values:
        assert bjorck_step(value.view(1, 1), 1).item() <= 1 + 1e-15


def test_bjorck_gradients_flow() -> None:
    layer = Dense(6, 4, constraint=Bjorck(iterations=20)).train()
    layer(torch.randn(8, 6)).square().sum().backward()
    gradient = layer.parameter.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert gradient.norm() > 0


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_row_projection_is_the_nearest_point(rows: int, columns: int, seed: int) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(rows, columns, dtype=torch.double)
    projected = project_rows_l1(weight)
    assert float(projected.abs().sum(1).max()) <= 1 + 1e-12
    # Variational inequality: no member lies in a direction of descent of the distance.
    member = LinfSoftmax(3.0).sample(rows, columns).double()
    inner = ((weight - projected) * (member - projected)).sum(1)
    assert float(inner.max()) <= 1e-9


def test_row_projection_leaves_inside_rows_alone() -> None:
    weight = torch.tensor([[0.25, -0.25, 0.0], [0.0, 0.0, 0.0]])
    assert torch.equal(project_rows_l1(weight), weight)


@given(st.integers(1, 9), st.integers(1, 9), st.floats(-6, 6), st.integers(0, 10**6))
def test_rescaled_weights_are_inside_whatever_the_parameter(
    rows: int, columns: int, log_scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    parameter = torch.randn(rows, columns) * 10**log_scale
    weight = Aol()(parameter)
    assert Aol().violation(weight) <= 1e-5
    # With a zero row or column nothing is divided by zero.
    parameter[0] = 0
    parameter[:, 0] = 0
    assert Aol().violation(Aol()(parameter)) <= 1e-5


@pytest.mark.parametrize(
    ("kind", "factor", "norm"),
    [(Spectral, 5.0, 1), (Spectral, 0.5, 1), (SpectralBall, 5.0, 1), (SpectralBall, 0.5, 0.5)],
)
def test_spectral_divides_always_and_its_ball_only_from_outside(
    kind: type[Spectral], factor: float, norm: float
) -> None:
    layer = Dense(20, 30, constraint=kind(20)).train()
    with torch.no_grad():
        layer.parameter.mul_(factor)
    for mode in (True, False):
        layer.train(mode)
        found = torch.linalg.matrix_norm(layer.weight, 2).item()
        assert found == pytest.approx(norm, abs=1e-5)


def test_the_authors_scaling_leaves_singular_values_below_one() -> None:
    torch.manual_seed(0)
    constraint = Bjorck(order=1, iterations=20, scaling="size")
    parameter = constraint.sample(64, 784)
    sigma = 1 / (64 * 784) ** 0.5
    for _ in range(20):
        sigma *= 1.5 - 0.5 * sigma**2
    for training in (True, False):
        found = torch.linalg.svdvals(constraint.train(training)(parameter))
        assert torch.allclose(found, torch.full((64,), sigma), atol=1e-5)
    assert torch.linalg.matrix_norm(Bjorck(iterations=5, scaling="size")(parameter), 2) < 0.1


def test_spectral_state_survives_saving() -> None:
    layer = Dense(5, 4, constraint=Spectral(2)).train()
    layer(torch.randn(2, 5))
    copy = Dense(5, 4, constraint=Spectral(2))
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(copy.constraint.vector, layer.constraint.vector)  # type: ignore[arg-type]


def test_weight_is_never_stale() -> None:
    layer = Dense(5, 4, constraint=LinfSoftmax()).eval()
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.parameter.normal_()
    assert not torch.equal(layer.weight, before)


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 3), (3, 0), (-1, 2)])
def test_sizes_are_checked(inputs: int, outputs: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Dense(inputs, outputs)
