"""The critic's training loop: the same weights for the same seed, however often interrupted."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lipsort_cli.errors import Interrupted, LipsortError
from lipsort_cli.optim import build_optimizer, build_schedule
from lipsort_cli.runs import MetricsLog
from lipsort_cli.training.checkpoint import (
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from lipsort_cli.training.interrupts import StepBoundary
from lipsort_cli.training.progress import TrainingProgress
from lipsort_cli.wasserstein.critic import (
    as_inputs,
    build_critic,
    critic_values,
    objective,
    running_constant,
    weighted_gap,
)
from lipsort_cli.wasserstein.sources import Measures, Source
from lipsort_cli.wasserstein.transport import Transport, exact_transport
from lipsort_cli.zoo import Network

TRAIN, CHECK, COMPARED, HELD_OUT, SPLIT, EXTRA, CENTRES = range(7)
"""Streams of random numbers: what one of them draws never depends on another."""

_EXACT_CHECK = 1000


def stream(seed: int, number: int) -> np.random.Generator:
    """The generator of one stream of a run."""
    return np.random.default_rng([seed, number])


@dataclass
class CriticTrainer:
    """Maximises mean f(x) - mean f(y) over ``network``, in a run directory.

    Every ``check_every`` steps the critic is looked at on one fixed sample: its value there,
    divided by the constant of its weights, is a lower bound of the sample's W1, and exact
    transport on the sample the upper bound. Both are empirical: they steer the training and the
    screen, and the proven ones come afterwards. Training stops when their relative gap, or for
    ``patience`` looks in a row the gain, is below the tolerance.
    """

    config: Any
    source: Source
    network: Network
    optimizer: Optimizer
    schedule: LambdaLR
    device: torch.device
    directory: Path
    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    stalled: int = 0
    stopped: str = ""
    lower: float = math.nan
    upper: float | None = None
    history: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def build(
        cls, config: Any, source: Source, device: torch.device, directory: Path
    ) -> CriticTrainer:
        """Critic, optimizer and schedule of a configuration, ready to train."""
        # Seeded before anything random exists: the weights are drawn next.
        torch.manual_seed(config.seed)
        network = build_critic(
            config.model,
            config.activation,
            config.constraint,
            norm=config.norm,
            centre=source.centre,
            spread=source.spread,
            shape=source.shape,
            # Moved by steepest descent, critics that sort everything found less of the distance of
            # images when centred (docs/wasserstein.md); all others found more.
            centred=config.activation.name != "fullsort",
        ).to(device)
        optimizer = build_optimizer(network, config.optimizer)
        schedule = build_schedule(optimizer, config.schedule, config.training.steps)
        return cls(config, source, network, optimizer, schedule, device, directory)

    def __post_init__(self) -> None:
        self.rng = stream(self.config.seed, TRAIN)
        self.check = self._check_sample()

    def known(self, measures: Measures) -> Transport | None:
        """The exact transport of ``measures`` where training has solved it: not here."""
        return None

    def _check_sample(self) -> Measures:
        training = self.config.training
        sample = self.source.check(training.check_points, stream(self.config.seed, CHECK))
        # Read once: it is looked at again and again.
        return Measures(np.asarray(sample.x[:]), np.asarray(sample.y[:]), *sample[2:])

    def run(self) -> None:
        """Train to the end, from the checkpoint if there is one.

        Raises:
            Interrupted: Ctrl-C or a termination signal; a checkpoint was written.
            LipsortError: the objective is not finite, or a file cannot be read or written.
        """
        training = self.config.training
        resumed = self._restore()
        log = MetricsLog(self.directory / "metrics.jsonl", resume_at=self.step if resumed else None)
        if max(len(self.check.x), len(self.check.y)) <= _EXACT_CHECK:
            self.upper = exact_transport(*self.check, norm=self.config.norm).value
        began = saved = time.monotonic()
        before, looking = self.seconds, 0.0
        try:
            with (
                StepBoundary() as boundary,
                TrainingProgress(training.steps, self.step) as progress,
            ):
                while self.step < training.steps and not self.stopped:
                    value = self._train_step()
                    last = self.step == training.steps
                    if self.step % training.check_every == 0 or last:
                        start = time.monotonic()
                        self._look(log, value)
                        progress.milestone(self.step, self._text())
                        looking += time.monotonic() - start
                    elif self.step % 10 == 0:
                        progress.update(self.step, self._text())
                    # What looking costs is not training.
                    self.seconds = before + time.monotonic() - began - looking
                    due = time.monotonic() - saved >= training.checkpoint_seconds
                    if boundary.requested or due or last or self.stopped:
                        start = time.monotonic()
                        self._save()
                        saved = time.monotonic()
                        looking += saved - start
                    if boundary.requested and not (last or self.stopped):
                        raise Interrupted(
                            f"interrupted after step {self.step} of {training.steps}; continue "
                            f"with `lipsort estimate-wasserstein resume={self.directory}`"
                        )
        finally:
            log.close()

    def _train_step(self) -> float:
        points = self.source.batch(self.config.training.batch_size, self.rng)
        x, y = (torch.from_numpy(p).to(self.device) for p in points)
        self.network.train()
        loss = -objective(self.network, x, y)
        value = -float(loss.detach())
        if not math.isfinite(value):
            raise LipsortError(
                f"the critic's objective is {value} at step {self.step}; lower optimizer.lr and "
                "optimizer.rest_lr, or look for extreme values in the samples"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        return value

    def _look(self, log: MetricsLog, value: float) -> None:
        training = self.config.training
        self.network.eval()
        constant = running_constant(self.network, self.config.norm)
        f_x = critic_values(self.network, self.check.x, self.device)
        f_y = critic_values(self.network, self.check.y, self.device)
        gap = weighted_gap(f_x, f_y, self.check.x_weights, self.check.y_weights)
        self.lower = gap / constant if constant > 0 else 0.0
        self.history.append((self.step, self.lower))
        log.log(
            epoch=0,
            step=self.step,
            split="check",
            lower=self.lower,
            upper=self.upper,
            objective=value,
            constant=constant,
            lr=float(self.optimizer.param_groups[0]["lr"]),
        )
        if self.upper is not None and self.upper - self.lower <= training.tolerance * self.upper:
            self.stopped = "gap"
        self.stalled += 1
        if self.lower > self.best + training.tolerance * abs(self.best) or self.best == -math.inf:
            self.best, self.stalled = self.lower, 0
        if training.patience and self.stalled >= training.patience and not self.stopped:
            self.stopped = "improvement"

    def _text(self) -> str:
        if math.isnan(self.lower):
            return "training"
        upper = "" if self.upper is None else f"  upper {self.upper:.5g}"
        return f"lower {self.lower:.5g}{upper} (empirical)"

    # --- checkpoints --------------------------------------------------------------------------

    def _save(self) -> None:
        save_checkpoint(
            self.directory,
            {
                "step": self.step,
                "seconds": self.seconds,
                "best": self.best,
                "stalled": self.stalled,
                "stopped": self.stopped,
                "lower": self.lower,
                "history": self.history,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": {"last_epoch": self.schedule.last_epoch},
                "random": random_states(),
                "sampler": json.dumps(self.rng.bit_generator.state),
            },
        )

    def _restore(self) -> bool:
        state = load_checkpoint(self.directory, self.device)
        if state is None:
            return False
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            restore_random_states(state["random"])
            self.rng.bit_generator.state = json.loads(state["sampler"])
            self._restore_schedule(int(state["schedule"]["last_epoch"]))
            for key in ("step", "seconds", "best", "stalled", "stopped", "lower"):
                setattr(self, key, state[key])
            self.history = [(int(s), float(v)) for s, v in state["history"]]
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise LipsortError(
                f"the checkpoint in {self.directory} does not fit this run: {error}; delete its "
                "folder checkpoint/ to start this run from the beginning"
            ) from error
        return True

    def _restore_schedule(self, last_epoch: int) -> None:
        self.schedule.last_epoch = last_epoch
        rates = [
            base * factor(last_epoch)
            for base, factor in zip(self.schedule.base_lrs, self.schedule.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def input_gradients(network: Network, points: Tensor) -> Tensor:
    """Gradients of the critic at points [n, d], [n, d]."""
    network.eval()
    x = points.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(as_inputs(network, x)).sum(), x)
    return gradient
