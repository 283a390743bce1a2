"""Weighted order statistics: against their definition, their gates, certificates."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lipsort_cli.certificates.points import certify_points, load_network
from lipsort_cli.config.distance import OrderModel
from lipsort_cli.errors import UsageError
from lipsort_cli.layers import lipschitz_constant
from lipsort_cli.layers.order import (
    OrderStatistic,
    Versus,
    WeightedOrder,
    signs,
    whole_numbers,
)
from lipsort_cli.layers.order_filter import OrderFilter, covered
from lipsort_cli.verifier.graph import Parser
from lipsort_cli.verifier.operation import of
from lipsort_cli.zoo import network_graph, save_network
from lipsort_cli.zoo.order import OrderNetwork, build_order
from lipsort_cli.zoo.plain import OrderSelection


def by_definition(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The largest of the +-x_i at which the votes reach the threshold, one level at a time."""
    found = torch.full((len(x), len(weight)), -torch.inf, dtype=x.dtype)
    for n, j in itertools.product(range(len(x)), range(len(weight))):
        for level in [*x[n].tolist(), *(-x[n]).tolist()]:
            votes = sum(
                abs(w) for w, v in zip(weight[j].tolist(), x[n].tolist(), strict=True)
                if w and (1 if w > 0 else -1) * v >= level
            )  # fmt: skip
            if votes >= float(bias[j]):
                found[n, j] = max(found[n, j], level)
    return found


def random_gates(
    seed: int, inputs: int, outputs: int, largest: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs with ties and zeros, small whole weights, thresholds of every kind."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-3, 4, (7, inputs), generator=generator) / 4
    weight = torch.randint(-largest, largest + 1, (outputs, inputs), generator=generator)
    weight[weight.abs().sum(1) == 0, 0] = 1
    total = weight.abs().sum(1)
    bias = 1 + (torch.rand(outputs, generator=generator) * total).long().clamp_max(total - 1)
    return x.double(), weight.double(), bias.double()


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 7), (7, 1), (10, 10), (70, 3)])
def test_equals_the_definition(inputs: int, outputs: int) -> None:
    x, weight, bias = random_gates(inputs, inputs, outputs)
    torch.testing.assert_close(
        OrderStatistic.apply(x, weight, bias), by_definition(x, weight, bias), rtol=0, atol=0
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), inputs=st.integers(1, 90), outputs=st.integers(1, 6))
def test_the_verifier_chooses_the_same(seed: int, inputs: int, outputs: int) -> None:
    """Another implementation, of which this one uses nothing."""
    x, weight, bias = random_gates(seed, inputs, outputs)
    graph = [{"op": "order_statistic", "weight": "layers.0.weight", "bias": "layers.0.bias"}]
    tensors = {
        "layers.0.weight": weight.numpy().astype(np.float32),
        "layers.0.bias": bias.numpy().astype(np.float32),
    }
    (layer,) = Parser(tensors, 1).chain(graph, (inputs,), "layers")
    found = of(layer).values(layer, x.numpy())
    assert (found == OrderStatistic.apply(x, weight, bias).numpy()).all()
    assert (found == by_definition(x, weight, bias).numpy()).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), inputs=st.integers(1, 40))
def test_lipschitz_in_every_norm(seed: int, inputs: int) -> None:
    torch.manual_seed(seed)
    layer = WeightedOrder(inputs, 6).double()
    with torch.no_grad():
        layer.offset.normal_()
    head = Versus(6, 4).double()
    x = torch.randn(8, inputs, dtype=torch.double)
    moved = x + torch.randn_like(x) * 10.0 ** torch.randint(-3, 3, (8, 1))
    with torch.no_grad():
        for change, constant in (
            (layer(moved) - layer(x), lambda norm: lipschitz_constant(layer, norm)),
            (
                head(layer(moved)) - head(layer(x)),
                lambda norm: lipschitz_constant(layer, norm) * lipschitz_constant(head, norm),
            ),
        ):
            for norm, p in (("l2", 2), ("l1", 1), ("linf", torch.inf)):
                limit = constant(norm) * (moved - x).norm(p, 1)
                assert (change.norm(p, 1) <= limit * (1 + 1e-12)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), level=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75]))
def test_gates_are_the_layer_at_a_level(seed: int, level: float) -> None:
    """Threshold decomposition: y >= t and y > -t, from x >= t and x > -t, through two layers."""
    torch.manual_seed(seed)
    first, second = WeightedOrder(9, 8).eval(), WeightedOrder(8, 5).eval()
    with torch.no_grad():
        for layer in (first, second):
            layer.offset.normal_()
    x = torch.randint(-4, 5, (40, 9)) / 4
    expected = signs(second(first(x)), level)
    found = second.gates(*first.gates(*signs(x, level)))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    channels=st.integers(1, 3),
    side=st.integers(1, 4),
    stride=st.integers(1, 4),
    more=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_filters_are_the_layer_whose_weights_repeat(
    seed: int, channels: int, side: int, stride: int, more: tuple[int, int]
) -> None:
    torch.manual_seed(seed)
    stride = min(stride, side)
    shape = (channels, side + stride * more[0], side + stride * more[1])
    layer = OrderFilter(shape, 3, side=side, stride=stride).eval()
    with torch.no_grad():
        layer.offset.normal_()
    x = torch.randint(-4, 5, (5, channels, *shape[1:])) / 4
    rows = x.flatten(1)
    weight, bias = layer.plain()
    found = layer(rows)
    assert torch.equal(found, OrderStatistic.apply(rows, weight, bias))
    windows = nn.functional.unfold(x, side, stride=stride).mT.flatten(0, 1)
    assert torch.equal(layer.windows(rows), windows)
    for level in (0.0, 0.25):
        for one, other in zip(layer.gates(*signs(rows, level)), signs(found, level), strict=True):
            assert torch.equal(one, other)
    assert lipschitz_constant(layer, "linf") == 1
    assert lipschitz_constant(layer, "l1") == found.shape[1]


def test_windows_that_leave_pixels_out_are_refused() -> None:
    assert covered((1, 28, 28), 7, 3) and covered((3, 8, 8), 8, 5) and covered((1, 5, 8), 2, 1)
    for side, stride in ((7, 2), (9, 1), (2, 3), (8, 0), (0, 1)):
        assert not covered((1, 8, 8), side, stride)
        with pytest.raises(ValueError, match=f"side {side}, {stride} apart"):
            OrderFilter((1, 8, 8), 4, side=side, stride=stride)
    model = OrderModel(filters=4, side=7, stride=2)
    for shape in ((1, 8, 8), (64,)):
        with pytest.raises(UsageError, match=r"model.side, model.stride: found .* 7, 2 apart"):
            build_order(model, shape, 10)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.sampled_from([2, 3, 10]))
def test_who_is_ahead_is_what_the_logits_say(seed: int, classes: int) -> None:
    torch.manual_seed(seed)
    model = OrderModel(filters=seed % 3, side=2, stride=2, widths=[8], members=1 + seed % 2)
    network = build_order(model, (1, 4, 4), classes).eval()
    x = torch.randint(0, 9, (30, 1, 4, 4)) / 8
    labels = torch.randint(classes, (30,))
    with torch.no_grad():
        logits = network(x)
    own = logits.gather(1, labels[:, None])[:, 0]
    for radius in (0.0, 0.125, 0.25):
        expected = (own >= radius) & (own > 0)
        assert torch.equal(network.holds(x, labels, radius), expected)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    ahead = own > 0
    assert (others[ahead] <= -own[ahead]).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), members=st.integers(1, 4))
def test_votes_of_members_add_up(seed: int, members: int) -> None:
    """Each member is a network by itself, and the head's worst case the sum of theirs."""
    torch.manual_seed(seed)
    model = OrderModel(widths=[8, 6], members=members)
    network = build_order(model, (1, 4, 4), 3).eval()
    head = network.head
    assert isinstance(head, Versus)
    with torch.no_grad():
        head.offset.normal_()
        x, labels = torch.randint(0, 9, (20, 1, 4, 4)) / 8, torch.randint(3, (20,))
        apart = network.worst_case(x, labels).view(members, 20, 3)
        whole = head.worst_case(*network._signs(x, network.level), labels)
        torch.testing.assert_close(apart.sum(0), whole)


def test_the_worst_case_is_attained_and_never_exceeded() -> None:
    torch.manual_seed(0)
    head = Versus(6, 3)
    with torch.no_grad():
        head.offset.normal_()
    lower = torch.where(torch.rand(4, 6) < 0.5, -1.0, 1.0)
    upper = torch.where(torch.rand(4, 6) < 0.5, lower, torch.ones_like(lower))
    labels = torch.tensor([0, 1, 2, 1])
    found = head.worst_case((lower + upper) / 2, (upper - lower) / 2, labels).detach()
    worst = torch.full((4, 3), -torch.inf)
    for corner in itertools.product([0.0, 1.0], repeat=6):
        s = lower + (upper - lower) * torch.tensor(corner)
        votes = (s @ head.parameter.T + head.offset).detach()
        worst = torch.maximum(worst, votes - votes.gather(1, labels[:, None]))
    torch.testing.assert_close(found, worst)


def test_whole_numbers_keep_within_what_float32_adds_exactly() -> None:
    torch.manual_seed(0)
    weight = torch.randn(50, 2000) * 10.0 ** torch.randint(-30, 30, (50, 1))
    weight[3] = 0
    whole, threshold = whole_numbers(weight, torch.randn(50) * weight.abs().sum(1) * 2)
    total = whole.double().abs().sum(1)
    assert torch.equal(whole, whole.round()) and torch.equal(threshold, threshold.round())
    assert (total <= 2.0**24).all() and (total >= 1).all()
    assert (threshold >= 1).all() and (threshold <= total).all()


def test_the_gradient_goes_to_what_was_chosen() -> None:
    x, weight, bias = random_gates(3, 12, 5)
    x = (x + 1e-3 * torch.arange(12)).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: OrderStatistic.apply(a, weight, bias), (x,))


def test_nan_stays_and_no_examples_are_none() -> None:
    layer = WeightedOrder(4, 3)
    x = torch.rand(2, 4)
    x[1, 2] = torch.nan
    found = layer(x)
    assert found[0].isfinite().all() and found[1].isnan().all()
    assert layer(torch.zeros(0, 4)).shape == (0, 3)


@pytest.mark.parametrize("members", [1, 2])
def test_training_moves_every_parameter_at_the_level_reached(members: int) -> None:
    torch.manual_seed(0)
    filters = {"filters": 5, "side": 2, "stride": 1}
    model = OrderModel(**filters, widths=[16, 16], radius=0.2, ramp=0.5, members=members)
    network = build_order(model, (1, 4, 4), 3).train()
    levels = []
    for network.progress in (0.0, 0.25, 0.5, 1.0):
        levels.append(network.level)
    assert levels == pytest.approx([0.0, 0.1, 0.2, 0.2])
    x, labels = torch.rand(64, 1, 4, 4), torch.randint(3, (64,))
    found = network.worst_case(x, labels)
    assert found.shape == (members * 64, 3)
    torch.nn.functional.cross_entropy(found, labels.repeat(members)).backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0
    for layer in network.modules():
        if isinstance(layer, WeightedOrder):
            assert layer.mean.abs().sum() > 0


def test_gates_near_their_threshold_are_in_doubt_in_training() -> None:
    torch.manual_seed(0)
    layer = WeightedOrder(20, 8, slack=0.5)
    centre, doubt = torch.randint(0, 2, (50, 20)) * 2.0 - 1, torch.zeros(50, 20)
    balances = centre @ layer.parameter.T
    near = ((balances - balances.mean(0)) / balances.std(0, unbiased=False)).abs()
    _, found = layer.gates(centre, doubt)
    assert found[near < 0.499].all() and not found[near > 0.501].any()
    assert not layer.eval().gates(centre, doubt)[1].any()


def test_refuses_impossible_arguments() -> None:
    for arguments in ((0, 1), (1, 0), (2, 2, 0.0), (2, 2, 1.0, -1.0)):
        with pytest.raises(ValueError, match="found"):
            WeightedOrder(*arguments)
    with pytest.raises(ValueError, match="classes: found 1"):
        Versus(4, 1)
    with pytest.raises(ValueError, match="norm: found .*allowed: l2, linf, l1"):
        lipschitz_constant(Versus(4, 2), "l3")


@pytest.mark.parametrize(
    ("classes", "filters", "members"), [(2, 0, 1), (4, 0, 1), (4, 6, 1), (4, 6, 3)]
)
def test_plain_form_computes_and_certifies_the_same(
    tmp_path: Path, classes: int, filters: int, members: int
) -> None:
    torch.manual_seed(0)
    model = OrderModel(filters=filters, side=4, stride=2, widths=[12, 10], members=members)
    network: OrderNetwork = build_order(model, (1, 8, 8), classes)
    x = torch.rand(96, 1, 8, 8)
    network.train()
    network.worst_case(x, torch.zeros(96, dtype=torch.long))
    network.eval()
    graph, _ = network_graph(network)
    assert [entry["op"] for entry in graph["layers"]][-3:] == ["dense", "maxout", "dense"]
    path = tmp_path / "model.safetensors"
    save_network(network, path)
    with torch.no_grad():
        logits = network(x)
    labels = logits.argmax(1)
    own = logits.gather(1, labels[:, None])[:, 0]
    proven = certify_points(
        load_network(path), x.numpy(), labels.numpy(), norm="linf", arithmetic="binary32"
    )
    assert (proven.radii <= own.numpy() + 1e-6).all()
    sure = (own > 1e-4).numpy()
    assert (proven.predictions[sure] == labels.numpy()[sure]).all()
    assert abs(proven.radii - own.clamp_min(0).numpy())[sure].max() < 1e-4


def test_the_exported_expression_chooses_the_same() -> None:
    x, weight, bias = random_gates(5, 20, 6)
    module = OrderSelection(weight, bias).requires_grad_(False)
    exported = torch.export.export(module, (x,)).module()
    assert torch.equal(exported(x), module(x))
