"""The critic's task: the dual of W1 on fresh batches, and bounds on one sample to steer by."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipsort_cli.config.train import LipschitzNetwork
from lipsort_cli.config.wasserstein import CriticTraining
from lipsort_cli.devices import sent
from lipsort_cli.optim import Rates, build_optimizer
from lipsort_cli.training.device import mixed_forward, training_dtype
from lipsort_cli.training.engine import Line, Task
from lipsort_cli.wasserstein.critic import as_inputs, build_critic, critic_values, running_constant
from lipsort_cli.wasserstein.sources import Measures, Source
from lipsort_cli.wasserstein.transport import Transport, exact_transport
from lipsort_cli.zoo import Network

TRAIN, CHECK, COMPARED, HELD_OUT, SPLIT, EXTRA, CENTRES, ORDER = range(8)
"""Streams of random numbers: what one of them draws never depends on another."""

_EXACT_CHECK = 1000


def stream(seed: int, number: int) -> np.random.Generator:
    """The generator of one stream of a run."""
    return np.random.default_rng([seed, number])


class CriticTask(Task):
    """Maximises mean f(x) - mean f(y) over ``network``, for points of ``source``.

    Every ``check_every`` steps the critic is looked at on one fixed sample: its value there,
    divided by the constant of its weights, is a lower bound of the sample's W1, and exact
    transport on the sample the upper bound. Both are empirical: they steer the training and the
    screen, and the proven ones come afterwards. Training stops when their relative gap, or for
    ``patience`` looks in a row the gain, is below the tolerance. Several processes share each
    batch.
    """

    rate_keys = "optimizer.lr and optimizer.rest_lr"

    def __init__(
        self,
        source: Source,
        network: Network,
        groups: LipschitzNetwork,
        device: torch.device,
        *,
        norm: str,
        training: CriticTraining,
        seed: int,
    ) -> None:
        super().__init__([network], device, training.total, training.gradient_clip)
        self.source, self.network = source, network
        self.optimizer = build_optimizer(network, groups.optimizer)
        self.rates = Rates(self.optimizer, groups.schedule)
        self.norm, self.training, self.seed = norm, training, seed
        self.dtype = training_dtype(training.precision, device)
        self.rng = stream(seed, TRAIN)
        check = source.check(training.check_points, stream(seed, CHECK))
        # Read once: it is looked at again and again.
        self.check = Measures(np.asarray(check.x[:]), np.asarray(check.y[:]), *check[2:])
        self.value: float | Tensor = math.nan
        self.best, self.stalled, self.stopped = -math.inf, 0, ""
        self.lower = math.nan
        self.history: list[tuple[int, float]] = []

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or looks said that more would gain nothing."""
        return super().finished or bool(self.stopped)

    @cached_property
    def upper(self) -> float | None:
        """W1 of the sample that is looked at, where it is small enough; solved once."""
        if max(len(self.check.x), len(self.check.y)) > _EXACT_CHECK:
            return None
        return exact_transport(*self.check, norm=self.norm).value

    def known(self, measures: Measures) -> Transport | None:
        """The exact transport of ``measures`` where training has solved it: not here."""
        return None

    def seen(self, count: int, rng: np.random.Generator) -> tuple[float, float]:
        """The critic's range on ``count`` points of training a side, as torch evaluates it."""
        points = self.source.batch(count, rng)
        values = np.concatenate([critic_values(self.network, p, self.device) for p in points])
        return float(values.min()), float(values.max())

    def step(self) -> None:
        self.rates.set(self.progress)
        points = self.source.step_batch(
            self.training.batch_size, self.rng, (self.seed, ORDER), self.at.step
        )
        # All rows where there are fewer than a batch: the sides may differ.
        parts = [self.team.shard(len(rows)) for rows in points]
        x, y = (
            sent(torch.from_numpy(rows[part]), self.device)
            for rows, (part, _) in zip(points, parts, strict=True)
        )
        self.network.train()
        values = mixed_forward(self.network, as_inputs(self.network, torch.cat([x, y])), self.dtype)
        (_, p), (_, q) = parts
        gap = p * values[: len(x)].mean() - q * values[len(x) :].mean()
        self.value = -self.update(-gap, self.optimizer, self.network, "the critic's loss")

    @property
    def due(self) -> bool:
        step = self.at.step
        return self.finished or (step > 0 and step % self.training.check_every == 0)

    def look(self) -> Iterator[Line]:
        step = self.at.step
        training = self.training
        self.network.eval()
        constant = running_constant(self.network, self.norm)
        f_x = critic_values(self.network, self.check.x, self.device)
        f_y = critic_values(self.network, self.check.y, self.device)
        p, q = self.check.x_weights, self.check.y_weights
        gap = float(np.average(f_x, weights=p) - np.average(f_y, weights=q))
        self.lower = gap / constant if constant > 0 else 0.0
        self.history.append((step, self.lower))
        found = {"lower": self.lower, "upper": self.upper, "objective": float(self.value)}
        rate = float(self.optimizer.param_groups[0]["lr"])
        yield "check", {**found, "constant": constant, "lr": rate}
        if self.stopped:
            return
        if self.upper is not None and self.upper - self.lower <= training.tolerance * self.upper:
            self.stopped = "gap"
        self.stalled += 1
        if self.lower > self.best + training.tolerance * abs(self.best) or self.best == -math.inf:
            self.best, self.stalled = self.lower, 0
        if training.patience and self.stalled >= training.patience and not self.stopped:
            self.stopped = "improvement"

    def words(self) -> str:
        if math.isnan(self.lower):
            return ""
        upper = "" if self.upper is None else f"  upper {self.upper:.5g}"
        return f"lower {self.lower:.5g}{upper} (empirical)"

    def state(self) -> dict[str, Any]:
        """Weights, moments, what was found, and where the sampler stands."""
        return {
            "best": self.best,
            "stalled": self.stalled,
            "stopped": self.stopped,
            "lower": self.lower,
            "history": self.history,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": json.dumps(self.rng.bit_generator.state),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = json.loads(state["sampler"])
        self.best, self.lower = float(state["best"]), float(state["lower"])
        self.stalled, self.stopped = int(state["stalled"]), str(state["stopped"])
        self.history = [(int(step), float(value)) for step, value in state["history"]]


def make_task(
    source: Source,
    device: torch.device,
    groups: LipschitzNetwork,
    *,
    norm: str,
    training: CriticTraining,
    seed: int,
) -> CriticTask:
    """Critic, optimizer and schedule by their configurations, ready to train."""
    # Seeded before anything random exists: the weights are drawn next.
    torch.manual_seed(seed)
    network = build_critic(
        groups,
        norm=norm,
        centre=source.centre,
        spread=source.spread,
        shape=source.shape,
        # Moved by steepest descent, critics that sort everything found less of the distance of
        # images when centred (docs/wasserstein.md); all others found more.
        centred=groups.activation.name != "fullsort"
        if training.center is None
        else training.center,
    ).to(device)
    return CriticTask(source, network, groups, device, norm=norm, training=training, seed=seed)


def input_gradients(network: Network, points: Tensor) -> Tensor:
    """Gradients of the critic at points [n, d], [n, d]."""
    network.eval()
    x = points.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(as_inputs(network, x)).sum(), x)
    return gradient
