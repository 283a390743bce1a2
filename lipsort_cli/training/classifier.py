"""The classifier's task: batches of an epoch in a random order, augmented, perhaps attacked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lipsort_cli.config.train import TrainConfig
from lipsort_cli.data.augmentation import Augment
from lipsort_cli.data.dataset import Dataset, Split
from lipsort_cli.devices import sent
from lipsort_cli.inspection.diagnostics import SPLIT, diagnostics
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.optim import Rates, build_optimizer
from lipsort_cli.training.adversarial import build_adversary
from lipsort_cli.training.device import mixed_forward, training_dtype
from lipsort_cli.training.engine import Line, Task
from lipsort_cli.training.jacobian import PENALTIES
from lipsort_cli.training.losses import build_loss
from lipsort_cli.training.radius import best_route, head_gaps, radii
from lipsort_cli.training.seeds import mixed_seed
from lipsort_cli.training.step_means import StepMeans
from lipsort_cli.zoo import Ensemble, Network, OrderNetwork

EVALUATION_BATCH = 2048

ESTIMATE = "certified_accuracy_estimate"
"""Share certified at the largest eps by quick float32 radii: steers, and proves nothing."""

WORST = "worst_case_accuracy"
"""Share of training examples that are right in the worst case within the radius trained for."""

ORDER, AUGMENTATION, ADVERSARY, JACOBIAN = range(4)
"""What a step draws, from (seed, purpose, epoch or step); dropout draws from torch's generator."""


class ClassifierTask(Task):
    """Trains ``network`` on ``dataset``, as ``config`` says.

    Several processes share each batch. Progress is shown for the largest radius ``eps``.
    """

    def __init__(
        self, config: TrainConfig, dataset: Dataset, network: Network, device: torch.device
    ) -> None:
        training = config.training
        total = training.epochs * steps_an_epoch(len(dataset.train), training.batch_size)
        super().__init__([network], device, total, training.gradient_clip)
        self.dataset, self.network, self.loss = dataset, network, build_loss(config.loss)
        self.optimizer = build_optimizer(network, config.optimizer)
        self.rates = Rates(self.optimizer, config.schedule)
        self.seed, self.training = config.seed, training
        self.norm, self.eps = config.evaluation.norm, max(config.evaluation.eps)
        self.dtype = training_dtype(training.precision, device)
        self.augment = Augment(config.augmentation, dataset.input_shape)
        # Never all of them: what moves images is asked for.
        plain = round(config.augmentation.plain * training.epochs)
        self.plain_epochs = min(plain, training.epochs - 1)
        self.inputs = dataset.train.inputs.to(device)
        self.labels = dataset.train.labels.to(device)
        self.batch_size = min(training.batch_size, len(self.labels))
        self.steps_an_epoch = steps_an_epoch(len(self.labels), training.batch_size)
        self.adversary = build_adversary(
            training.adversarial, self._forward, self.loss, dataset.bounds
        )
        # Such a network is trained for its worst case, which depends on the labels.
        self.worst = network if isinstance(network, OrderNetwork) else None
        self.window = StepMeans()
        self.latest: dict[str, float] = {}
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self._order: tuple[int, Tensor] | None = None
        self.route, self.constant = best_route(network, self.norm)

    @property
    def epoch(self) -> int:
        return self.at.step // self.steps_an_epoch

    # --- a step -----------------------------------------------------------------------------

    def step(self) -> None:
        self.rates.set(self.progress)
        self.network.train()
        index = self._batch()
        inputs, labels = self.inputs[index], self.labels[index]
        if self.augment.active:
            # As one process would, before the batch is shared out.
            moved = self.epoch < self.training.epochs - self.plain_epochs
            inputs = self.augment(inputs, self.random(AUGMENTATION, self.at.step), moved=moved)
        count = len(labels)
        part, share = self.team.shard(count)
        inputs, labels = inputs[part], labels[part]
        if self.adversary is not None:
            inputs = self.adversary(inputs, labels, self._own_seed(ADVERSARY))
        logits, loss = self._objective(inputs, labels)
        value = self.update(loss * share, self.optimizer, self.network)
        self._count(logits.detach(), labels, value, share, count)

    def _batch(self) -> Tensor:
        """Indices of this step's examples."""
        epoch, position = divmod(self.at.step, self.steps_an_epoch)
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(len(self.labels), generator=self.random(ORDER, epoch))
            self._order = epoch, sent(order, self.device)
        return self._order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def _own_seed(self, purpose: int) -> int:
        """Seed of this step's random numbers, of this process' own."""
        return mixed_seed(self.seed, purpose + 16 * self.team.rank, self.at.step)

    def _objective(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, C], and the loss with the Jacobian's penalty where one is asked for."""
        if self.worst is not None:
            mixed = self.dtype != torch.float32
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=mixed):
                logits = self.worst.worst_case(inputs, labels)
            apart = logits.unflatten(0, (-1, len(labels)))
            return apart.sum(0), self.loss(logits, labels.repeat(len(apart)))
        weight = self.training.jacobian_penalty
        if not weight:
            return self._logits_and_loss(inputs, labels)
        inputs = inputs.detach().requires_grad_()
        logits, loss = self._logits_and_loss(inputs, labels)
        generator = torch.Generator().manual_seed(self._own_seed(JACOBIAN))
        penalty = PENALTIES[self.training.jacobian_norm](logits, inputs, generator)
        return logits, loss + weight * penalty

    def _logits_and_loss(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, C] and their loss; of an ensemble, the means of both over its members."""
        if isinstance(self.network, Ensemble):
            apart = mixed_forward(self.network.apart(), inputs, self.dtype)
            return apart.mean(0), self.loss(apart.flatten(0, 1), labels.repeat(len(apart)))
        logits = self._forward(inputs)
        return logits, self.loss(logits, labels)

    def _forward(self, inputs: Tensor) -> Tensor:
        return mixed_forward(self.network, inputs, self.dtype)

    # --- what is measured on the way ----------------------------------------------------------

    def _radii(self, logits: Tensor, labels: Tensor) -> Tensor:
        gaps = head_gaps(self.network.head, self.route)
        return radii(logits, labels, gaps, self.constant)

    def _count(
        self, logits: Tensor, labels: Tensor, loss: Tensor, share: float, count: int
    ) -> None:
        worst = self.worst is not None
        # Right is what is ahead, by a radius of 0 too: that of a network of no known constant.
        margin = worst_margin(logits, labels)
        radius = margin if worst else self._radii(logits, labels)
        counts = torch.stack([(margin > 0).sum(), (radius > self.eps).sum()])
        correct, certified = self.team.summed(counts if share else counts * 0).unbind()
        self.window.add("loss", loss, count, times=count)
        self.window.add(WORST if worst else "accuracy", correct, count)
        if not worst:
            self.window.add(ESTIMATE, certified, count)

    def _due(self) -> tuple[bool, bool, bool]:
        """Whether means are due, validation, and diagnostics."""
        step, every = self.at.step, self.training.diagnostics_every
        return (
            step > 0 and (step % self.training.log_every == 0 or self.finished),
            step > 0 and step % self.steps_an_epoch == 0,
            every > 0 and (step % every == 0 or self.finished),
        )

    @property
    def due(self) -> bool:
        return any(self._due())

    def look(self) -> Iterator[Line]:
        """Means over the steps since the last line; the validation set after every epoch."""
        logged, validated, diagnosed = self._due()
        if logged:
            means = self.window.means()
            yield "train", {**means, "lr": float(self.optimizer.param_groups[0]["lr"])}
            self.latest.update(means)
            self.window = StepMeans()
        if validated:
            self.route, self.constant = best_route(self.network, self.norm)
            if len(self.dataset.validation) and self.team.leads:
                values = self.validate(self.dataset.validation)
                yield "validation", values
                self._keep(values["accuracy"])
                self.latest.update({f"validation_{k}": v for k, v in values.items()})
        if diagnosed:
            yield SPLIT, self._diagnose()

    def _keep(self, accuracy: float) -> None:
        """Remember the weights of the best epoch, and go back to them after the last one."""
        if self.training.keep != "best":
            return
        if self.best is None or accuracy > self.best[0]:
            state = self.network.state_dict()
            self.best = accuracy, {key: value.clone() for key, value in state.items()}
        if self.finished:
            self.network.load_state_dict(self.best[1])

    def _diagnose(self) -> dict[str, float]:
        """Jacobian, gradient and activity at the first points of the validation set, or of the
        training set where none is held out. Nothing random is drawn and no weight moves."""
        points = self.dataset.validation if len(self.dataset.validation) else self.dataset.train
        count = self.training.diagnostics_points
        inputs, labels = points.inputs[:count].to(self.device), points.labels[:count]
        return diagnostics(self.network, inputs, labels.to(self.device), self.norm)

    @torch.no_grad()
    def validate(self, split: Split) -> dict[str, float]:
        """Accuracy and share certified at ``eps``, in float32, on a split (empirical)."""
        self.network.eval()
        correct = certified = 0
        for inputs, labels in zip(
            split.inputs.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True
        ):
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            if self.worst is not None:
                correct += int(self.worst.holds(inputs, labels, 0.0).sum())
                certified += int(self.worst.holds(inputs, labels, self.eps).sum())
                continue
            logits = self.network(inputs)
            correct += int((worst_margin(logits, labels) > 0).sum())
            certified += int((self._radii(logits, labels) > self.eps).sum())
        n = len(split)
        return {"accuracy": correct / n, ESTIMATE: certified / n}

    def words(self) -> str:
        """Epoch, loss and shares, as far as they are known; of the validation set if any."""
        if not self.latest:
            return ""
        shown = [f"epoch {min(self.epoch + 1, self.training.epochs)}"]
        validated = "validation_" if "validation_accuracy" in self.latest else ""
        for key, text in (
            ("loss", "loss {:.3f}"),
            ("" if validated else WORST, "worst case {:.1%}"),
            (f"{validated}accuracy", "acc {:.1%}"),
            (f"{validated}{ESTIMATE}", f"est. cert@{self.eps:g} {{:.1%}}"),
        ):
            if key in self.latest:
                shown.append(text.format(self.latest[key]))
        return " ".join(shown)

    # --- checkpoints --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "window": self.window.sums(),
            "latest": self.latest,
            "constant": self.constant,
            "best": self.best and list(self.best),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.window, self.latest = StepMeans(state["window"]), dict(state["latest"])
        self.constant = float(state["constant"])
        self.best = state["best"] and (float(state["best"][0]), state["best"][1])


def steps_an_epoch(examples: int, batch_size: int) -> int:
    """Batches that cover all examples, the last one perhaps smaller."""
    return math.ceil(examples / min(batch_size, examples))
