"""Optimizers: geometry of the manifold, directions, parts beside torch's own, state."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from lipsort_cli.config.learning import (
    AdamOptimizer,
    SgdOptimizer,
    StiefelAdamOptimizer,
    StiefelOptimizer,
)
from lipsort_cli.devices import fast_dtype
from lipsort_cli.layers import Dense
from lipsort_cli.layers.constraints import orthonormal as orthonormal_module
from lipsort_cli.layers.constraints import orthonormality_error
from lipsort_cli.layers.constraints.polar import POLYNOMIALS, approximate_polar, polynomials
from lipsort_cli.optim import (
    AggMo,
    Combined,
    Stiefel,
    StiefelAdam,
    adam,
    build_optimizer,
    stiefel,
)
from lipsort_cli.optim.stiefel import (
    retract,
    second_order_step_,
    stiefel_step_,
    tangent_projection,
)

SHAPES = [(1, 7), (7, 1), (10, 10), (5, 12), (12, 5)]
LEAST = {1: 0.2, 2: 0.05, 3: 0.01, 4: 0.003, 5: 0.001}


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The dtype that steps are computed in, whatever this processor would choose."""
    monkeypatch.setattr(stiefel, "fast_dtype", lambda device_type: request.param)
    chosen: torch.dtype = request.param
    return chosen


@pytest.mark.parametrize(
    ("capability", "instructions", "expected"),
    [
        ("AVX512", True, torch.bfloat16),
        ("AVX512", False, torch.float32),
        ("AVX2", True, torch.float32),
        ("DEFAULT", True, torch.float32),
    ],
)
def test_bfloat16_only_where_torch_uses_its_instructions(
    capability: str, instructions: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    assert fast_dtype.__wrapped__("cpu") == expected


def orthonormal(shape: tuple[int, int]) -> torch.Tensor:
    return nn.init.orthogonal_(torch.empty(*shape, dtype=torch.double))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tangent_projection(shape: tuple[int, int]) -> None:
    weight = orthonormal(shape)
    ambient = torch.randn(shape, dtype=torch.double)
    tangent = tangent_projection(weight, ambient, torch.double)
    side = tangent @ weight.T if shape[0] <= shape[1] else weight.T @ tangent
    assert torch.allclose(side, -side.T, atol=1e-12)
    # Idempotent, and the rest is orthogonal to it.
    assert torch.allclose(tangent_projection(weight, tangent, torch.double), tangent, atol=1e-12)
    assert float((tangent * (ambient - tangent)).sum()) == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("size", [0.0, 1e-4, 1e-2, 0.1, 0.5, 3.0])
def test_retraction_is_the_polar_factor(shape: tuple[int, int], size: float) -> None:
    torch.manual_seed(0)
    moved = orthonormal(shape) + size * torch.randn(shape, dtype=torch.double)
    u, _, vh = torch.linalg.svd(moved, full_matrices=False)
    assert torch.allclose(retract(moved, torch.double), u @ vh, atol=5e-6)


@pytest.mark.parametrize("steps", sorted(POLYNOMIALS))
def test_polynomials_take_their_interval_to_one(steps: int) -> None:
    x = torch.logspace(float(torch.tensor(LEAST[steps]).log10()), 0, 2000, dtype=torch.double)
    for a, b, c in POLYNOMIALS[steps]:
        x = a * x + b * x**3 + c * x**5
    assert float((x - 1).abs().max()) < 0.28


@pytest.mark.parametrize("steps", [1, 3, 5, 9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_approximate_polar_is_bounded_and_aligned(steps: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for shape in [(40, 40), (20, 60), (60, 20), (1, 9)]:
        for x in (torch.randn(shape), torch.randn(shape[0], 1) @ torch.randn(1, shape[1])):
            y = approximate_polar(x, steps, dtype).float()
            assert float(torch.linalg.matrix_norm(y, 2)) < 1.4
            # It descends: its inner product with x is near the largest possible, the nuclear norm.
            assert float((x * y).sum()) > 0.6 * float(torch.linalg.svdvals(x).sum())


def test_many_steps_converge() -> None:
    x = torch.randn(20, 30, dtype=torch.double)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    assert torch.allclose(approximate_polar(x, 12, torch.double), u @ vh, atol=1e-6)
    assert len(polynomials(12)) == 12


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
@pytest.mark.usefixtures("products")
def test_extreme_gradients_leave_a_finite_orthonormal_weight(scale: float) -> None:
    weight = orthonormal((8, 8)).float()
    gradient = scale * torch.randn(8, 8)
    stiefel_step_(weight, gradient, 0.1, 3)
    assert orthonormality_error(weight) <= 1e-5
    moved = nn.Parameter(weight)
    moved.grad = gradient
    StiefelAdam([moved], lr=0.01, betas=(0.5, 0.9)).step()
    assert orthonormality_error(moved) <= 1e-5


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("betas", [(0.0, 0.9), (0.9, 0.999)])
def test_adam_on_the_manifold(
    shape: tuple[int, int], betas: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stiefel, "fast_dtype", lambda device_type: torch.double)
    torch.manual_seed(0)
    weight = nn.Parameter(orthonormal(shape))
    optimizer = StiefelAdam([weight], lr=0.02, betas=betas)
    own = weight.detach().clone()
    m, v = torch.zeros_like(own), torch.zeros_like(own)

    def tangent(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        if shape[0] > shape[1]:
            return g - w @ (w.T @ g + g.T @ w) / 2
        return g - (g @ w.T + w @ g.T) @ w / 2

    for step in range(1, 6):
        gradient = torch.randn(shape, dtype=torch.double)
        weight.grad = gradient.clone()
        optimizer.step()
        # The definition, with the polar factor by an SVD.
        m = betas[0] * m + (1 - betas[0]) * gradient
        v = betas[1] * v + (1 - betas[1]) * gradient**2
        direction = m / (1 - betas[0] ** step) / ((v / (1 - betas[1] ** step)).sqrt() + 1e-8)
        u, _, vh = torch.linalg.svd(own - 0.02 * tangent(own, direction), full_matrices=False)
        own = u @ vh
        assert torch.allclose(weight, own, atol=1e-5 * step)


@pytest.mark.parametrize("shape", [*SHAPES, (3, 5, 12), (2, 12, 5)], ids=str)
def test_a_second_order_step_is_the_exact_one_to_third_order(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = nn.init.orthogonal_(torch.empty(shape[-2:], dtype=torch.double)).expand(shape).clone()
    move = torch.randn(shape, dtype=torch.double)
    move /= torch.linalg.matrix_norm(move, 2).max()
    for size in (1e-1, 1e-2, 1e-3):
        step = size * move
        exact = retract(weight + tangent_projection(weight, step, torch.double), torch.double)
        moved = weight.clone()
        if not second_order_step_(moved, step, torch.double):
            assert torch.equal(moved, weight)
            assert size > 0.05
            continue
        # The retraction itself stops at 1e-6.
        assert float((moved - exact).norm()) <= size**3 * shape[-1] + 2e-6


def test_a_long_or_undefined_step_is_not_taken_to_second_order() -> None:
    weight = orthonormal((5, 12))
    for size in (1.0, float("nan")):
        before = weight.clone()
        step = torch.full_like(weight, size)
        assert not second_order_step_(weight, step, torch.double)
        assert torch.equal(weight, before)


@pytest.mark.parametrize("lr", [1e-4, 4e-4, 3e-3, 0.3])
def test_between_exact_retractions_weights_stay_close_to_the_manifold(
    lr: float, products: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    retractions: list[torch.dtype] = []

    def counted(moved: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        retractions.append(dtype)
        return retract(moved, dtype)

    monkeypatch.setattr(stiefel, "retract", counted)
    weight = nn.Parameter(orthonormal((64, 96)).float())
    optimizer = StiefelAdam([weight], lr=lr, betas=(0.0, 0.9), exact_every=8)
    errors = []
    for _ in range(40):
        weight.grad = torch.randn(64, 1) @ torch.randn(1, 96) + 0.1 * torch.randn(64, 96)
        optimizer.step()
        errors.append(orthonormality_error(weight))
    assert max(errors[7::8]) <= 1e-5
    assert max(errors) <= (1e-3 if products == torch.bfloat16 else 1e-4)
    assert set(retractions) == {products}
    if lr <= 4e-4:
        assert len(retractions) == 5  # the cheaper step was taken between
    if lr == 0.3:
        assert len(retractions) == 40  # and a long one was not


@pytest.mark.usefixtures("products")
def test_a_step_has_the_asked_length_and_descends() -> None:
    torch.manual_seed(0)
    weight = orthonormal((30, 40)).float()
    target = orthonormal((30, 40)).float()
    before = weight.clone()
    stiefel_step_(weight, weight - target, 0.05, 5)
    assert float(torch.linalg.matrix_norm(weight - before, 2)) == pytest.approx(0.05, rel=0.3)
    assert float((weight - target).norm()) < float((before - target).norm())


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(("kind", "lr"), [(Stiefel, 0.1), (StiefelAdam, 0.05)])
def test_finds_the_nearest_rotation(kind: Any, lr: float) -> None:
    torch.manual_seed(0)
    target = orthonormal((12, 12)).float()
    target[0] *= torch.linalg.det(target).sign()  # the component that the identity can reach
    weight = nn.Parameter(torch.eye(12))
    optimizer = kind([weight], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    for _ in range(200):
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        optimizer.step()
        schedule.step()
    assert float((weight - target).detach().norm()) < 0.02


class Single(nn.Module):
    """A module of one parameter."""

    def __init__(self, parameter: nn.Parameter) -> None:
        super().__init__()
        self.parameter = parameter


@pytest.mark.parametrize("rule", ["adam", "sgd"])
def test_other_rules_are_those_of_torch(rule: str) -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(4, 3)) for _ in range(2))
    config = AdamOptimizer(lr=0.05) if rule == "adam" else SgdOptimizer(lr=0.05)
    first = build_optimizer(Single(ours), config)
    second: Any
    if rule == "adam":
        second = torch.optim.Adam([theirs], lr=0.05)
    else:
        second = torch.optim.SGD([theirs], lr=0.05, momentum=0.9, nesterov=True)
    for _ in range(10):
        gradient = torch.randn(4, 3)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        first.step()
        second.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_aggregated_momentum_with_one_zero_velocity_is_gradient_descent() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = AggMo([weight], lr=0.1, betas=(0.0,))
    weight.grad = torch.tensor([1.0, 2.0, 3.0])
    optimizer.step()
    assert torch.allclose(weight, torch.tensor([0.9, 0.8, 0.7]))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("config", [StiefelOptimizer(), StiefelAdamOptimizer()])
def test_state_survives_saving(config: Any) -> None:
    torch.manual_seed(0)
    layer = Dense(6, 4)
    optimizer = build_optimizer(layer, config)
    gradients = [torch.randn(4, 6) for _ in range(4)]

    def advance(module: Dense, chosen: Any, which: list[torch.Tensor]) -> None:
        for gradient in which:
            module.parameter.grad = gradient.clone()
            chosen.step()

    advance(layer, optimizer, gradients[:2])
    twin = copy.deepcopy(layer)
    other = build_optimizer(twin, config)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    copied, pickled = copy.deepcopy((layer, optimizer)), pickle.loads(pickle.dumps((twin, other)))
    advance(layer, optimizer, gradients[2:])
    for pair in ((twin, other), copied, pickled):
        advance(*pair, gradients[2:])
        assert torch.equal(layer.parameter, pair[0].parameter)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("interval", [2, 3])
def test_an_interval_is_a_larger_batch(interval: int) -> None:
    torch.manual_seed(0)
    start = orthonormal((6, 8)).float()
    often, rarely = (nn.Parameter(start.clone()) for _ in range(2))
    first, second = Stiefel([often]), Stiefel([rarely], interval=interval)
    for _ in range(4):
        gradients = torch.randn(interval, 6, 8)
        before = rarely.detach().clone()
        for i, gradient in enumerate(gradients):
            rarely.grad = gradient.clone()
            second.step()
            assert torch.equal(rarely, before) == (i < interval - 1)
        often.grad = gradients.mean(0)
        first.step()
    assert torch.allclose(often, rarely, atol=1e-5)


def test_groups_follow_the_constraints() -> None:
    network = nn.Sequential(Dense(4, 4), nn.Linear(4, 2))
    optimizer = build_optimizer(network, StiefelOptimizer(rest="sgd"))
    assert isinstance(optimizer, Combined)
    assert [len(part.param_groups[0]["params"]) for part in optimizer.parts] == [1, 3]
    first, second = optimizer.parts
    assert isinstance(first, Stiefel) and isinstance(second, torch.optim.SGD)
    assert isinstance(build_optimizer(network, SgdOptimizer()), torch.optim.SGD)
    assert isinstance(build_optimizer(network).parts[0], Stiefel)  # type: ignore[attr-defined]


def test_a_combination_is_one_optimizer() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Dense(4, 4), nn.Linear(4, 2))
    optimizer = build_optimizer(network, StiefelOptimizer(lr=0.1, rest_lr=0.01))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = network(torch.ones(3, 4)).square().sum()
        value.backward()
        return value

    assert float(optimizer.step(loss)) > 0  # type: ignore[arg-type, func-returns-value]
    schedule.step()
    assert isinstance(optimizer, Combined)
    rates = [group["lr"] for part in optimizer.parts for group in part.param_groups]
    assert rates == [0.05, 0.005]
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    schedule.step()
    rates = [group["lr"] for part in optimizer.parts for group in part.param_groups]
    assert rates == [0.025, 0.0025]
    with pytest.raises(ValueError, match="found the state of 1 parts; there are 2"):
        optimizer.load_state_dict({"parts": [optimizer.parts[0].state_dict()]})
    with pytest.raises(ValueError, match="more than one"):
        Combined([adam(network.parameters()), torch.optim.SGD(network.parameters(), 0.1)])


@pytest.mark.parametrize("kind", [Stiefel, StiefelAdam])
def test_vectors_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__} moves matrices"):
        kind([nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize("shape", [(3, 6, 3), (2, 4, 9), (4, 1, 1), (2, 5, 5)])
@pytest.mark.parametrize("lr", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("kind", [Stiefel, StiefelAdam])
def test_a_stack_moves_as_its_matrices_do(
    shape: tuple[int, ...], lr: float, kind: Any, products: torch.dtype
) -> None:
    torch.manual_seed(0)
    matrices = [torch.nn.init.orthogonal_(torch.empty(shape[1:])) for _ in range(shape[0])]
    together = torch.nn.Parameter(torch.stack(matrices))
    alone = [torch.nn.Parameter(matrix.clone()) for matrix in matrices]
    stacked, single = (kind(own, lr=lr) for own in ([together], alone))
    for _ in range(3):
        gradient = torch.randn(shape)
        together.grad = gradient.clone()
        for parameter, part in zip(alone, gradient, strict=True):
            parameter.grad = part.clone()
        stacked.step()
        single.step()
    for matrix in together.detach():
        assert orthonormality_error(matrix) <= 1e-5
    # The direction is approximate, the more so in bfloat16.
    rounding = 0.1 if products == torch.bfloat16 else 1e-3
    assert torch.allclose(together, torch.stack(list(alone)), atol=rounding * lr + 1e-5)


def test_stacks_of_stacks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"stacks of them \[k, m, n\]"):
        Stiefel([torch.nn.Parameter(torch.zeros(1, 2, 3, 4))])


@pytest.mark.parametrize("shape", [(1, 7), (64, 96), (96, 64), (3, 12, 20)], ids=str)
@pytest.mark.parametrize("config", [
    *(StiefelOptimizer(lr=lr) for lr in (0.01, 0.1, 1.0)),
    StiefelOptimizer(rank=4),
    *(StiefelAdamOptimizer(lr=lr) for lr in (1e-2, 0.3)),
    AdamOptimizer(lr=0.05),
    SgdOptimizer(lr=0.05),
], ids=lambda c: f"{c.name} {c.lr}")  # fmt: skip
def test_where_nothing_is_measured_weights_stay_on_the_manifold_all_the_same(
    shape: tuple[int, ...], config: Any, products: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on devices on which measuring would wait: to the accuracy of a CPU, along the same way."""
    torch.manual_seed(0)
    start = nn.init.orthogonal_(torch.empty(shape[-2:])).expand(shape)
    moved = []
    for free in (True, False):
        for module in (stiefel, orthonormal_module):
            monkeypatch.setattr(module, "reads_freely", lambda _, free=free: free)
        torch.manual_seed(1)
        layer = Dense(shape[-1], shape[-2])
        layer.parameter = nn.Parameter(start.clone())
        optimizer = build_optimizer(layer, config)
        for step in range(33):
            # A direction that all share, and noise.
            layer.parameter.grad = torch.ones(shape) / (step + 1) + 0.3 * torch.randn(shape)
            optimizer.step()
            if step == 0:
                moved.append(layer.parameter.detach().clone())
        assert orthonormality_error(layer.parameter) <= 1e-5
    assert torch.allclose(*moved, atol=2e-5)
