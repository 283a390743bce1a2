"""The loop of two networks: the same weights for the same seed, however often interrupted."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lipsort_cli.data.dataset import Dataset
from lipsort_cli.errors import Interrupted, LipsortError
from lipsort_cli.gan.average import Average
from lipsort_cli.gan.critics import Critic
from lipsort_cli.gan.film import Film
from lipsort_cli.gan.generators import Generator
from lipsort_cli.gan.objectives import critic_loss, gap, gradient_norms
from lipsort_cli.gan.window import Window
from lipsort_cli.optim import schedule_factor
from lipsort_cli.runs import MetricsLog
from lipsort_cli.training.checkpoint import load_checkpoint, save_checkpoint
from lipsort_cli.training.device import training_dtype
from lipsort_cli.training.interrupts import StepBoundary
from lipsort_cli.training.progress import TrainingProgress
from lipsort_cli.training.seeds import mixed_seed
from lipsort_cli.training.tensorboard import TensorBoardLog

REAL, NOISE, PENALTY, FILM = range(10, 14)
"""What a step draws: each purpose has random numbers of its own."""


@dataclass
class GanTrainer:
    """Trains ``generator`` against ``critic`` on ``dataset`` into a run directory.

    A step is ``critic.steps`` steps of the critic and one of the generator. Whatever a step draws
    comes from (seed, purpose, position), so that a resumed run repeats what a whole run does, bit
    for bit on the same machine with the same number of threads -- unless ``training.seconds``
    makes the schedule follow the clock.
    """

    config: Any
    dataset: Dataset
    generator: Generator
    optimizer: Optimizer
    critic: Critic
    device: torch.device
    directory: Path
    step: int = 0
    seconds: float = 0.0
    window: Window = field(default_factory=Window)
    history: list[dict[str, float]] = field(default_factory=list)
    latest: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        training = self.config.training
        self.dtype = training_dtype(training.precision, self.device)
        self.inputs = self.dataset.train.inputs.to(self.device)
        self.average = Average(self.generator, training.average)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        noise = torch.randn(Film.COUNT, self.generator.latent, generator=self._random(FILM, 0)).to(
            self.device
        )
        self.film = Film(self.directory, self.average.generator, noise, self.dataset.train.inputs)

    # --- the loop ---------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Share of the run that is done, by steps or, with a time limit, by the clock."""
        training = self.config.training
        share = (self.step + 0.5) / training.steps
        if training.seconds is not None:
            share = max(share, self.seconds / training.seconds)
        return min(1.0, share)

    @property
    def finished(self) -> bool:
        """Whether the last step was taken, or the time is over."""
        training = self.config.training
        over = training.seconds is not None and self.seconds >= training.seconds
        return self.step >= training.steps or (over and self.step > 0)

    def run(self) -> None:
        """Train to the end, from the checkpoint if there is one.

        Raises:
            Interrupted: Ctrl-C or a termination signal; a checkpoint was written.
            LipsortError: a loss is not finite, or a file cannot be written.
        """
        training = self.config.training
        resumed = self._restore()
        log = MetricsLog(self.directory / "metrics.jsonl", resume_at=self.step if resumed else None)
        board = TensorBoardLog(self.directory, self.config.tensorboard, self.step)
        began = saved = time.monotonic()
        before, looking = self.seconds, 0.0
        try:
            with (
                StepBoundary() as boundary,
                TrainingProgress(training.steps, self.step) as progress,
            ):
                while not self.finished:
                    self._train_step()
                    # What looking costs is not training.
                    self.seconds = before + time.monotonic() - began - looking
                    start = time.monotonic()
                    if self.step % training.log_every == 0 or self.finished:
                        self._log(log, board)
                        progress.milestone(self.step, self._text())
                    elif self.step % 10 == 0:
                        progress.update(self.step, self._text())
                    if self.progress * training.frames >= self.film.frames + 1 or self.finished:
                        self.film.take(self._caption())
                    due = time.monotonic() - saved >= training.checkpoint_seconds
                    if boundary.requested or due or self.finished:
                        self._save()
                        saved = time.monotonic()
                    looking += time.monotonic() - start
                    if boundary.requested and not self.finished:
                        raise Interrupted(
                            f"interrupted after step {self.step} of {training.steps}; continue "
                            f"with `lipsort wgan resume={self.directory}`"
                        )
        finally:
            log.close()
            board.close()

    def _random(self, purpose: int, position: int) -> torch.Generator:
        return torch.Generator().manual_seed(mixed_seed(self.config.seed, purpose, position))

    def _noise(self, position: int) -> Tensor:
        size = (self.config.training.batch_size, self.generator.latent)
        return torch.randn(size, generator=self._random(NOISE, position)).to(self.device)

    def _real(self, position: int) -> Tensor:
        size = (self.config.training.batch_size,)
        index = torch.randint(len(self.inputs), size, generator=self._random(REAL, position))
        return self.inputs[index.to(self.device)]

    def _generate(self, noise: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            fake: Tensor = self.generator(noise)
        return fake

    def _value(self, points: Tensor) -> Tensor:
        """f at points: body in the training precision, head in float32."""
        layers = list(self.critic.network)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            for layer in layers[:-1]:
                points = layer(points)
        output: Tensor = layers[-1](points.float())
        return output[:, 0]

    def _train_step(self) -> None:
        steps = self.config.critic.steps
        for optimizer, rates in (
            (self.optimizer, self.rates),
            (self.critic.optimizer, self.critic.rates),
        ):
            factor = schedule_factor(progress=self.progress, **vars(self.config.schedule))
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        self.generator.train()
        self.critic.network.train().requires_grad_(True)
        for turn in range(steps):
            position = self.step * steps + turn
            # The critic's last samples are the generator's too: they are made once.
            with torch.set_grad_enabled(turn == steps - 1):
                fake = self._generate(self._noise(position))
            self._critic_step(position, fake.detach())
        self._generator_step(fake)
        self.average.update(self.generator, self.step)
        self.step += 1

    def _critic_step(self, position: int, fake: Tensor) -> None:
        real = self._real(position)
        f_real, f_fake = self._value(torch.cat([real, fake])).split(len(real))
        penalty = self.critic.penalty(self._value, real, fake, self._random(PENALTY, position))
        loss = critic_loss(self.config.critic.loss, f_real, f_fake) + penalty
        self._check(loss, "critic")
        self.critic.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.critic.optimizer.step()
        self.window.gap += gap(f_real, f_fake)
        self.window.penalty += float(penalty.detach())
        self.window.critic_steps += 1

    def _generator_step(self, fake: Tensor) -> None:
        self.critic.network.requires_grad_(False)
        loss = -self._value(fake).mean()
        self._check(loss, "generator")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.window.generator += float(loss.detach())
        self.window.steps += 1

    def _check(self, loss: Tensor, name: str) -> None:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LipsortError(
                f"the loss of the {name} is {value} at step {self.step}; lower generator.lr and "
                "critic.lr, or look for extreme values in the data"
            )

    # --- what is shown on the way -------------------------------------------------------------

    def _log(self, log: MetricsLog, board: TensorBoardLog) -> None:
        real, fake = self._real(self.step), self._generate(self._noise(self.step)).detach()
        norms = gradient_norms(self.critic.network, real, fake, self._random(PENALTY, self.step))
        values = {
            **self.window.means(),
            "gradient_norm": float(norms.mean()),
            "gradient_norm_largest": float(norms.max()),
            "lr": float(self.optimizer.param_groups[0]["lr"]),
        }
        if self.critic.known is not None:
            values["w1_lower"] = max(0.0, values["critic_gap"]) / self.critic.known
        log.log(epoch=self.epoch, step=self.step, split="train", **values)
        board.log("train", self.step, values)
        self.latest = values
        self.history.append({"step": float(self.step), **values})
        self.window = Window()

    @property
    def epoch(self) -> int:
        """How often a training set's worth of real examples was drawn."""
        drawn = self.step * self.config.critic.steps * self.config.training.batch_size
        return drawn // len(self.inputs)

    def _text(self) -> str:
        if not self.latest:
            return "training"
        if "w1_lower" in self.latest:
            return f"W1 of minibatches >= {self.latest['w1_lower']:.4g} (empirical)"
        return (
            f"critic value {self.latest['critic_gap']:.4g}, no distance: "
            f"slope {self.latest['gradient_norm']:.3g}"
        )

    def _caption(self) -> str:
        return f"{self.dataset.name}, critic {self.config.critic.name}, step {self.step:,}"

    # --- checkpoints --------------------------------------------------------------------------

    def _save(self) -> None:
        save_checkpoint(
            self.directory,
            {
                "generator": self.generator.state_dict(),
                "average": self.average.generator.state_dict(),
                "generator_optimizer": self.optimizer.state_dict(),
                "critic": self.critic.network.state_dict(),
                "critic_optimizer": self.critic.optimizer.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "frames": self.film.frames,
                "window": vars(self.window),
                "history": self.history,
                "latest": self.latest,
                "threads": torch.get_num_threads(),
                "data": self.dataset.fingerprint["sha256"],
            },
        )

    def _restore(self) -> bool:
        state = load_checkpoint(self.directory, self.device)
        if state is None:
            return False
        if state.get("data") != self.dataset.fingerprint["sha256"]:
            raise LipsortError(
                f"{self.directory} was trained on other data than {self.dataset.name} holds now; "
                "restore the data, or start a new run"
            )
        try:
            self.generator.load_state_dict(state["generator"])
            self.average.generator.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["generator_optimizer"])
            self.critic.network.load_state_dict(state["critic"])
            self.critic.optimizer.load_state_dict(state["critic_optimizer"])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            self.film.frames = int(state["frames"])
            self.window = Window(**state["window"])
            self.history = [dict(entry) for entry in state["history"]]
            self.latest = dict(state["latest"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise LipsortError(
                f"the checkpoint in {self.directory} belongs to another run "
                f"({str(error).splitlines()[0]}); start a new run"
            ) from error
        if self.config.threads == 0:
            torch.set_num_threads(state["threads"])
        return True
