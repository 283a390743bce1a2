"""The task of two networks: a critic's steps and one of the generator, turn about."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lipsort_cli.config.wgan import WganConfig
from lipsort_cli.data.dataset import Dataset
from lipsort_cli.devices import sent
from lipsort_cli.gan.critics import Critic, critic_loss, gap, gradient_norms
from lipsort_cli.gan.figures import Film
from lipsort_cli.norms import NAMES
from lipsort_cli.optim import Rates, adam
from lipsort_cli.training.device import mixed_forward, training_dtype
from lipsort_cli.training.engine import Line, Task
from lipsort_cli.training.step_means import StepMeans
from lipsort_cli.zoo.generators import Generator


class Average:
    """An exponential moving average of a generator's weights and batch statistics.

    w <- d w + (1 - d) v after every generator step, with d = min(decay, (1 + t) / (10 + t)) so that
    the first, random weights are forgotten early. With decay 0 it is the generator itself.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self.decay = decay
        self.generator = copy.deepcopy(generator).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, generator: Generator, step: int) -> None:
        """Take the weights of ``generator`` after its step number ``step`` (from 0) in."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        own, new = self.generator.state_dict(), generator.state_dict()
        for key, value in own.items():
            if value.is_floating_point():
                value.lerp_(new[key], 1 - decay)
            else:
                value.copy_(new[key])  # the number of batches seen


REAL, NOISE, PENALTY, FILM = range(10, 14)
"""What a step draws: each purpose has random numbers of its own."""


class GanTask(Task):
    """Trains ``generator`` against ``critic`` on ``dataset``; pictures go into ``directory``.

    A step is ``critic.steps`` steps of the critic and one of the generator. Whatever a step draws
    comes from (seed, purpose, position) -- unless ``training.seconds`` makes the schedule follow
    the clock, a resumed run repeats what a whole run does. Several processes share each batch;
    batch statistics are of their own shares, and are averaged after each step.
    """

    rate_keys = "generator.lr and critic.lr"

    def __init__(
        self,
        config: WganConfig,
        dataset: Dataset,
        generator: Generator,
        critic: Critic,
        device: torch.device,
        directory: Path,
    ) -> None:
        networks, training, own = [generator, critic.network], config.training, config.generator
        super().__init__(networks, device, training.steps, training.gradient_clip)
        self.dataset, self.generator, self.critic = dataset, generator, critic
        self.training, self.seed = training, config.seed
        self.optimizer = adam(generator.parameters(), lr=own.lr, betas=(own.beta1, own.beta2))
        self.rates = tuple(Rates(o, config.schedule) for o in (self.optimizer, critic.optimizer))
        self.dtype = training_dtype(training.precision, device)
        self.inputs = dataset.train.inputs.to(device)
        self.average = Average(generator, training.average)
        noise = torch.randn(Film.COUNT, generator.latent, generator=self.random(FILM, 0))
        self.film = Film(directory, self.average.generator, noise.to(device), dataset.train.inputs)
        self.window = StepMeans()
        self.history: list[dict[str, float]] = []
        self.latest: dict[str, float] = {}

    @property
    def done(self) -> float:
        """Share of the run that is done, by steps or, with a time limit, by the clock."""
        return self._by_clock(super().done)

    @property
    def progress(self) -> float:
        """The same in the middle of the next step."""
        return self._by_clock(super().progress)

    def _by_clock(self, share: float) -> float:
        limit = self.training.seconds
        return min(1.0, share if limit is None else max(share, self.at.seconds / limit))

    @property
    def finished(self) -> bool:
        limit = self.training.seconds
        over = limit is not None and self.at.seconds >= limit and self.at.step > 0
        return super().finished or over

    @property
    def epoch(self) -> int:
        """How often a training set's worth of real examples was drawn."""
        drawn = self.at.step * self.critic.config.steps * self.training.batch_size
        return drawn // len(self.inputs)

    # --- a step -----------------------------------------------------------------------------

    def _noise(self, position: int) -> Tensor:
        size = (self.training.batch_size, self.generator.latent)
        return sent(torch.randn(size, generator=self.random(NOISE, position)), self.device)

    def _real(self, position: int) -> Tensor:
        size = (self.training.batch_size,)
        index = torch.randint(len(self.inputs), size, generator=self.random(REAL, position))
        return self.inputs[sent(index, self.device)]

    def _generate(self, noise: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            fake: Tensor = self.generator(noise)
        return fake

    def _value(self, points: Tensor) -> Tensor:
        return mixed_forward(self.critic.network, points, self.dtype)[:, 0]

    def step(self) -> None:
        turns = self.critic.config.steps
        for rates in self.rates:
            rates.set(self.progress)
        self.generator.train()
        self.critic.network.train().requires_grad_(True)
        part, share = self.team.shard(self.training.batch_size)
        for turn in range(turns):
            position = self.at.step * turns + turn
            # The critic's last samples are the generator's too: they are made once.
            with torch.set_grad_enabled(turn == turns - 1):
                fake = self._generate(self._noise(position)[part])
            self._critic_step(position, self._real(position)[part], fake.detach(), share)
        self._generator_step(fake, share)
        self.team.average_buffers(self.networks)
        self.average.update(self.generator, self.at.step)

    def _critic_step(self, position: int, real: Tensor, fake: Tensor, share: float) -> None:
        f_real, f_fake = self._value(torch.cat([real, fake])).split(len(real))
        random = self.random(PENALTY + 16 * self.team.rank, position)
        penalty = self.critic.penalty(self._value, real, fake, random)
        loss = critic_loss(self.critic.config.loss, f_real, f_fake) + penalty
        self.update(
            loss * share, self.critic.optimizer, self.critic.network, "the loss of the critic"
        )
        values = torch.stack([gap(f_real, f_fake), penalty.detach()]) * share
        for key, value in zip(("critic_gap", "penalty"), self.team.summed(values), strict=True):
            self.window.add(key, value)

    def _generator_step(self, fake: Tensor, share: float) -> None:
        self.critic.network.requires_grad_(False)
        loss = -self._value(fake).mean() * share
        value = self.update(loss, self.optimizer, self.generator, "the loss of the generator")
        self.window.add("generator_loss", value)

    # --- what is shown on the way -------------------------------------------------------------

    def _due(self) -> tuple[bool, bool]:
        """Whether means are due, and a frame of the film."""
        step = self.at.step
        logged = step % self.training.log_every == 0 or self.finished
        framed = self.progress * self.training.frames >= self.film.frames + 1 or self.finished
        return step > 0 and logged, step > 0 and framed and self.team.leads

    @property
    def due(self) -> bool:
        return any(self.team.agree(any(self._due())))

    def look(self) -> Iterator[Line]:
        """Means over the steps since the last line, and slopes; a frame of the film in its time."""
        step = self.at.step
        logged, framed = self._due()
        if logged:
            values = self._measured()
            yield "train", values
            self.latest = values
            self.history.append({"step": float(step), **values})
            self.window = StepMeans()
        if framed:
            name = self.critic.config.name
            self.film.take(f"{self.dataset.name}, critic {name}, step {step:,}")

    def _measured(self) -> dict[str, float]:
        step = self.at.step
        real, fake = self._real(step), self._generate(self._noise(step)).detach()
        norms = gradient_norms(self.critic.network, real, fake, self.random(PENALTY, step))
        values = {
            **self.window.means(),
            "gradient_norm": float(norms.mean()),
            "gradient_norm_largest": float(norms.max()),
            "lr": float(self.optimizer.param_groups[0]["lr"]),
        }
        if self.critic.known is not None:
            values["w1_lower"] = max(0.0, values["critic_gap"]) / self.critic.known
        return values

    def words(self) -> str:
        """The distance that the critic's value bounds; its value where that is none."""
        if not self.latest:
            return ""
        if "w1_lower" in self.latest:
            metric = NAMES[self.critic.norm]
            return f"W1 of minibatches in {metric} >= {self.latest['w1_lower']:.4g} (empirical)"
        return (
            f"critic value {self.latest['critic_gap']:.4g}, no distance: "
            f"slope {self.latest['gradient_norm']:.3g}"
        )

    # --- checkpoints --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {
            "generator": self.generator.state_dict(),
            "average": self.average.generator.state_dict(),
            "generator_optimizer": self.optimizer.state_dict(),
            "critic": self.critic.network.state_dict(),
            "critic_optimizer": self.critic.optimizer.state_dict(),
            "frames": self.film.frames,
            "window": self.window.sums(),
            "history": self.history,
            "latest": self.latest,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.average.generator.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["generator_optimizer"])
        self.critic.network.load_state_dict(state["critic"])
        self.critic.optimizer.load_state_dict(state["critic_optimizer"])
        self.film.frames = int(state["frames"])
        self.window = StepMeans(state["window"])
        self.history = [dict(entry) for entry in state["history"]]
        self.latest = dict(state["latest"])
