"""Adam on softmax logits: mirror descent on the L1 ball of rows; biases at a rate of their own."""

from __future__ import annotations

import torch
from torch.nn import functional

from lipsort_cli.config.learning import AdamOptimizer
from lipsort_cli.layers.constraints import LinfSoftmax
from lipsort_cli.optim import build_optimizer
from lipsort_cli.zoo import build_mlp


def test_rows_stay_in_their_ball_and_the_loss_falls() -> None:
    torch.manual_seed(0)
    network = build_mlp((12,), 3, [16, 16], constraint=lambda: LinfSoftmax(3.0))
    optimizer = build_optimizer(network, AdamOptimizer(lr=0.3, bias_lr=0.01, beta2=0.99))
    x = torch.randn(256, 12)
    labels = x[:, :3].argmax(1)
    losses = []
    for _ in range(60):
        loss = functional.cross_entropy(10 * network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        for layer in (network[1], network[3], network[5]):
            assert layer.constraint.violation(layer.weight) <= 1e-6
    assert losses[-1] < 0.6 * losses[0]
    # Steps of a multiplicative rule: sums of rows stay near the ball's surface.
    assert float(network[1].weight.detach().abs().sum(1).min()) > 0.5


def test_biases_move_at_their_own_rate() -> None:
    torch.manual_seed(0)
    network = build_mlp((4,), 2, [6], constraint=LinfSoftmax)
    first = [(layer.parameter.detach().clone(), layer.bias.detach().clone())
             for layer in (network[1], network[3])]  # fmt: skip
    optimizer = build_optimizer(network, AdamOptimizer(lr=0.5, bias_lr=0.01))
    network(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.01]
    for layer, (parameter, bias) in zip((network[1], network[3]), first, strict=True):
        # Adam's first step has the length of the learning rate.
        assert abs(float((layer.parameter - parameter).detach().abs().max()) - 0.5) < 1e-3
        assert abs(float((layer.bias - bias).detach().abs().max()) - 0.01) < 1e-3
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == len(list(network.parameters()))


def test_one_rate_where_none_is_given() -> None:
    network = build_mlp((4,), 2, [6], constraint=LinfSoftmax)
    assert len(build_optimizer(network, AdamOptimizer()).param_groups) == 1
