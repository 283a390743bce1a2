"""The training loop: the same weights for the same seed, however often it is interrupted."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lipsort_cli.data.augmentation import Augment
from lipsort_cli.data.dataset import Dataset, Split
from lipsort_cli.errors import Interrupted, LipsortError
from lipsort_cli.layers.margins import worst_margin
from lipsort_cli.runs import MetricsLog
from lipsort_cli.training.adversarial import build_adversary
from lipsort_cli.training.device import training_dtype
from lipsort_cli.training.diagnosis import Diagnosis
from lipsort_cli.training.distributed import Team
from lipsort_cli.training.interrupts import StepBoundary
from lipsort_cli.training.jacobian import jacobian_penalty
from lipsort_cli.training.losses import Loss
from lipsort_cli.training.progress import TrainingProgress
from lipsort_cli.training.radius import body_constant, head_gaps, radii
from lipsort_cli.training.resuming import restore, save
from lipsort_cli.training.seeds import mixed_seed
from lipsort_cli.training.tensorboard import TensorBoardLog
from lipsort_cli.training.window import ESTIMATE, WORST, Window
from lipsort_cli.zoo import Network, OrderNetwork

EVALUATION_BATCH = 2048


@dataclass
class Trainer:
    """Trains ``network`` on ``dataset`` into a run directory.

    Everything random comes from ``seed``: the order of an epoch from (seed, epoch), augmentation
    from (seed, step), dropout from torch's global generator, whose state is in the checkpoint. A
    checkpoint is written between two steps only, so a resumed run repeats what a whole run does,
    bit for bit on the same machine with the same number of threads. Several processes (``team``)
    share each batch; the leader's directory is the run's.
    """

    config: Any
    dataset: Dataset
    network: Network
    optimizer: Optimizer
    schedule: LambdaLR
    loss: Loss
    device: torch.device
    directory: Path
    step: int = 0
    seconds: float = 0.0
    window: Window = field(default_factory=Window)
    latest: dict[str, float] = field(default_factory=dict)
    team: Team = field(default_factory=Team)

    def __post_init__(self) -> None:
        training = self.config.training
        self.dtype = training_dtype(training.precision, self.device)
        self.augment = Augment(self.config.augmentation, self.dataset.input_shape)
        self.inputs = self.dataset.train.inputs.to(self.device)
        self.labels = self.dataset.train.labels.to(self.device)
        self.batch_size = min(training.batch_size, len(self.labels))
        self.steps_an_epoch = steps_an_epoch(len(self.labels), training.batch_size)
        self.total_steps = training.epochs * self.steps_an_epoch
        self.adversary = build_adversary(
            training.adversarial, self._forward, self.loss, self.dataset.bounds
        )
        # Such a network is trained for its worst case, which depends on the labels.
        self.bounded = isinstance(self.network, OrderNetwork)
        self.window = Window(self.bounded)
        self.diagnosis = Diagnosis(self.config, self.dataset, self.device)
        self.scheduled = [m for m in self.network.modules() if hasattr(m, "progress")]
        # The radius that progress is shown for: the largest asked for.
        self.eps = max(self.config.evaluation.eps)
        self.norm = self.config.evaluation.norm

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_an_epoch

    # --- the loop ---------------------------------------------------------------------------

    def run(self) -> None:
        """Train to the end, from the checkpoint if there is one.

        Raises:
            Interrupted: Ctrl-C or a termination signal; a checkpoint was written.
            LipsortError: the loss is not finite, or a file cannot be written.
        """
        resumed = restore(self)
        log = MetricsLog(self.directory / "metrics.jsonl", resume_at=self.step if resumed else None)
        board = TensorBoardLog(self.directory, self.config.tensorboard, self.step)
        self.constant = body_constant(self.network, self.norm)
        began = saved = time.monotonic()
        before = self.seconds
        try:
            alone = self.team.place.size == 1
            with StepBoundary(patient=not alone) as boundary, self._progress() as progress:
                if self.step == 0:
                    self._diagnose(log, board)
                while self.step < self.total_steps:
                    self._epoch_step()
                    self.seconds = before + time.monotonic() - began
                    self._report(log, board, progress)
                    due = time.monotonic() - saved >= self.config.training.checkpoint_seconds
                    stop, due = self.team.agree(boundary.requested, due)
                    if stop or due or self.step == self.total_steps:
                        save(self)
                        saved = time.monotonic()
                    if stop and self.step < self.total_steps:
                        raise Interrupted(
                            f"interrupted after step {self.step} of {self.total_steps}; continue "
                            f"with `lipsort train resume={self.directory}`"
                        )
        finally:
            log.close()
            board.close()

    def _epoch_step(self) -> None:
        position = self.step % self.steps_an_epoch
        if position == 0 or not hasattr(self, "_order"):
            self._order = self._epoch_order()
        index = self._order[position * self.batch_size : (position + 1) * self.batch_size]
        self.network.train()
        for layer in self.scheduled:
            layer.progress = self.step / self.total_steps
        inputs, labels = self.inputs[index], self.labels[index]
        if self.augment.active:
            generator = torch.Generator().manual_seed(mixed_seed(self.config.seed, 1, self.step))
            inputs = self.augment(inputs, generator)
        count = len(labels)
        part, share = self.team.shard(count)
        inputs, labels = inputs[part], labels[part]
        if self.adversary is not None:
            inputs = self.adversary(inputs, labels, self._seed(2))
        logits, loss = self._objective(inputs, labels)
        loss = loss * share
        (value,) = self.team.total([float(loss.detach())])
        if not math.isfinite(value):
            raise LipsortError(
                f"the loss is {value} at step {self.step}; lower optimizer.lr, set "
                "training.gradient_clip, or look for extreme values in the data"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.team.sum_gradients(self.network.parameters())
        if self.config.training.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(
                self.network.parameters(), self.config.training.gradient_clip
            )
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        self._count(logits.detach(), labels, value, share, count)

    def _seed(self, purpose: int) -> int:
        """Seed of this step's random numbers, of this process' own."""
        return mixed_seed(self.config.seed, purpose + 16 * self.team.rank, self.step)

    def _objective(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, C], and the loss with the Jacobian's penalty where one is asked for."""
        if isinstance(self.network, OrderNetwork):
            mixed = self.dtype != torch.float32
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=mixed):
                logits = self.network.worst_case(inputs, labels)
            return logits, self.loss(logits, labels)
        weight = self.config.training.jacobian_penalty
        if not weight:
            logits = self._forward(inputs)
            return logits, self.loss(logits, labels)
        inputs = inputs.detach().requires_grad_()
        logits = self._forward(inputs)
        generator = torch.Generator().manual_seed(self._seed(3))
        penalty = jacobian_penalty(logits, inputs, generator)
        return logits, self.loss(logits, labels) + weight * penalty

    def _forward(self, inputs: Tensor) -> Tensor:
        """Logits with the body in the training precision; the head's margins in float32."""
        if self.dtype == torch.float32:
            logits: Tensor = self.network(inputs)
            return logits
        with torch.autocast(self.device.type, dtype=self.dtype):
            for layer in list(self.network)[:-1]:
                inputs = layer(inputs)
        output: Tensor = self.network.head(inputs.float())
        return output

    def _epoch_order(self) -> Tensor:
        generator = torch.Generator().manual_seed(mixed_seed(self.config.seed, 0, self.epoch))
        return torch.randperm(len(self.labels), generator=generator).to(self.device)

    # --- what is measured on the way ----------------------------------------------------------

    def _radii(self, logits: Tensor, labels: Tensor) -> Tensor:
        gaps = head_gaps(self.network.head, self.norm)
        return radii(logits, labels, gaps, self.constant)

    def _count(self, logits: Tensor, labels: Tensor, loss: float, share: float, count: int) -> None:
        radius = worst_margin(logits, labels) if self.bounded else self._radii(logits, labels)
        counts = torch.stack([(radius > 0).sum(), (radius > self.eps).sum()]).tolist()
        correct, certified = self.team.total([n if share else 0 for n in counts])
        self.window.add(loss, correct, certified, count)

    def _report(self, log: MetricsLog, board: TensorBoardLog, progress: TrainingProgress) -> None:
        epoch_ends = self.step % self.steps_an_epoch == 0
        if self.step % self.config.training.log_every == 0 or self.step == self.total_steps:
            values = {**self.window.means(), "lr": float(self.optimizer.param_groups[0]["lr"])}
            log.log(epoch=self.epoch, step=self.step, split="train", **values)
            board.log("train", self.step, values)
            self.latest.update(self.window.means())
            self.window = Window(self.bounded)
        if epoch_ends:
            self.constant = body_constant(self.network, self.norm)
            if len(self.dataset.validation) and self.team.leads:
                values = self.validate(self.dataset.validation)
                log.log(epoch=self.epoch, step=self.step, split="validation", **values)
                board.log("validation", self.step, values)
                self.latest.update({f"validation_{k}": v for k, v in values.items()})
        self._diagnose(log, board)
        show = progress.milestone if epoch_ends else progress.update
        show(self.step, self._text())

    def _diagnose(self, log: MetricsLog, board: TensorBoardLog) -> None:
        at = {"epoch": self.epoch, "step": self.step, "last": self.total_steps}
        self.diagnosis.report(self.network, log, board, **at)

    @torch.no_grad()
    def validate(self, split: Split) -> dict[str, float]:
        """Accuracy and share certified at the largest eps, in float32, on a split (empirical)."""
        self.network.eval()
        correct = certified = 0
        for inputs, labels in zip(
            split.inputs.split(EVALUATION_BATCH),
            split.labels.split(EVALUATION_BATCH),
            strict=True,
        ):
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            if isinstance(self.network, OrderNetwork):
                correct += int(self.network.holds(inputs, labels, 0.0).sum())
                certified += int(self.network.holds(inputs, labels, self.eps).sum())
                continue
            radius = self._radii(self.network(inputs), labels)
            correct += int((radius > 0).sum())
            certified += int((radius > self.eps).sum())
        n = len(split)
        return {"accuracy": correct / n, ESTIMATE: certified / n}

    def _text(self) -> str:
        shown = self.latest or self.window.means()
        if WORST in shown and "validation_accuracy" not in shown:
            return (
                f"epoch {min(self.epoch + 1, self.config.training.epochs)}"
                f" loss {shown['loss']:.3f} worst case {shown[WORST]:.1%}"
            )
        prefix = "validation_" if "validation_accuracy" in shown else ""
        return (
            f"epoch {min(self.epoch + 1, self.config.training.epochs)}"
            f" loss {shown.get('loss', 0.0):.3f}"
            f" acc {shown.get(f'{prefix}accuracy', 0.0):.1%}"
            f" est. cert@{self.eps:g} {shown.get(f'{prefix}{ESTIMATE}', 0.0):.1%}"
        )

    def _progress(self) -> TrainingProgress:
        return TrainingProgress(self.total_steps, self.step)


def steps_an_epoch(examples: int, batch_size: int) -> int:
    """Batches that cover all examples, the last one perhaps smaller."""
    return math.ceil(examples / min(batch_size, examples))
