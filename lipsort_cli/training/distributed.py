"""One training on several processes: every step's batch is cut into shards, gradients are summed.

Data parallelism as DistributedDataParallel does it, with two differences that make the result the
same as one process': a step's batch is that of one process, cut into shards of nearly equal
size, and a shard's gradient counts by its size, so that a batch that does not divide is no
exception. What is summed in another order differs by rounding only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

from lipsort_cli.processes import Place, place
from lipsort_cli.training.seeds import mixed_seed

_DROPOUT = 4
"""What a worker's own seed is for; see :mod:`lipsort_cli.training.seeds`."""


class Team:
    """The processes of a training; alone, every member does nothing and costs nothing."""

    def __init__(self, where: Place | None = None) -> None:
        self.place = Place() if where is None else where

    @classmethod
    def join(cls, device: torch.device) -> Team:
        """The team that torchrun's environment describes: NCCL between CUDA devices, gloo between
        processors, so that exchanging a clock's reading never waits for a device.

        Waits until every process has come.
        """
        team = cls(place())
        if team.place.size > 1:
            backend = "gloo"
            if device.type == "cuda":
                torch.cuda.set_device(device)
                backend = "cpu:gloo,cuda:nccl"
            distributed.init_process_group(
                backend, rank=team.place.rank, world_size=team.place.size
            )
        return team

    @classmethod
    def dismiss(cls, device: torch.device) -> None:
        """Of a leader that has nothing to do: the others, who come to train, go as well."""
        team = cls.join(device)
        team.told(False)
        team.leave()

    @property
    def leads(self) -> bool:
        """Whether this process writes the results."""
        return self.place.leads

    @property
    def rank(self) -> int:
        """This process' number."""
        return self.place.rank

    def leave(self) -> None:
        """No more is exchanged; what follows, the leader does alone."""
        if self.place.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def start(self, networks: Sequence[nn.Module], seed: int) -> None:
        """The leader's weights for all; dropout of its own for everyone else, from ``seed``."""
        for network in networks if self.place.size > 1 else ():
            network.load_state_dict(self.told(network.state_dict()))
        if self.rank:
            torch.manual_seed(mixed_seed(seed, _DROPOUT, self.rank))

    def shard(self, count: int) -> tuple[slice, float]:
        """This process' rows of a batch of ``count``, and their share of it.

        A process without rows takes the first with a share of 0, so that it computes as all do.
        """
        if self.place.size == 1:
            return slice(0, count), 1.0
        low = count * self.rank // self.place.size
        high = count * (self.rank + 1) // self.place.size
        return (slice(low, high), (high - low) / count) if high > low else (slice(0, 1), 0.0)

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over the processes, in binary64; the same on each of them."""
        if self.place.size == 1:
            return list(values)
        return [
            float(value)
            for value in self.summed(torch.tensor(values, dtype=torch.float64)).tolist()
        ]

    def summed(self, values: Tensor) -> Tensor:
        """The sums over the processes of a tensor of any device, where it is, in binary64."""
        if self.place.size == 1:
            return values
        total = values.to(torch.float64, copy=True)
        distributed.all_reduce(total)
        return total

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by the sum over the processes; in one message."""
        if self.place.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        message = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(message)
        start = 0
        for gradient in gradients:
            part = message[start : start + gradient.numel()]
            gradient.copy_(part.view_as(gradient))
            start += gradient.numel()

    @torch.no_grad()
    def average_buffers(self, networks: Sequence[nn.Module]) -> None:
        """Replace what layers keep of the points they saw by its mean over the processes."""
        if self.place.size == 1:
            return
        buffers = [b for n in networks for b in n.buffers() if b.is_floating_point()]
        for buffer in buffers:
            distributed.all_reduce(buffer)
            buffer.div_(self.place.size)

    def agree(self, *wishes: bool) -> list[bool]:
        """Whether any process wishes it, for each wish: clocks and signals differ."""
        if self.place.size == 1:
            return list(wishes)
        return [value > 0 for value in self.total([float(wish) for wish in wishes])]

    def gathered(self, value: Any) -> list[Any]:
        """The ``value`` of every process, by rank."""
        if self.place.size == 1:
            return [value]
        found: list[Any] = [None] * self.place.size
        distributed.all_gather_object(found, value)
        return found

    def told(self, value: Any) -> Any:
        """The leader's ``value``."""
        if self.place.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]
