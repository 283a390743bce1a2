"""What a device multiplies fast, and what makes the processor wait for it."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

UNREAD = 1000
"""Scalars of a kind that training leaves on a device before it looks at them, at most."""


@functools.cache
def fast_dtype(device_type: str) -> torch.dtype:
    """bfloat16 where the hardware multiplies it faster than float32, float32 elsewhere.

    Only ever for directions and training products, never for what a certificate depends on.
    """
    if device_type == "cpu":
        # Emulated on processors without the instructions, it would be slower than float32. They
        # may be there and not be used: ATEN_CPU_CAPABILITY tells torch so.
        probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        used = torch.backends.cpu.get_cpu_capability() == "AVX512"
        return torch.bfloat16 if used and probe is not None and probe() else torch.float32
    if device_type == "cuda":
        # torch calls it supported where it emulates it too, before compute capability 8.0.
        older = torch.version.hip is None and torch.cuda.get_device_capability() < (8, 0)
        return torch.float32 if older or not torch.cuda.is_bf16_supported() else torch.bfloat16
    return torch.float32


def reads_freely(device: torch.device) -> bool:
    """Whether a tensor's numbers can be looked at without waiting for what is being computed.

    So it is on a CPU. Other devices compute what they are told while the program goes on; reading
    one number waits until all of it is done, so that no step of training reads any there.
    """
    return device.type == "cpu"


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A block in the tensors' own accuracy, on a device that has shapes alone (meta) too."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU, on ``device``; nothing waits for it to arrive."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # only from there is it copied without waiting
    # MPS might still read what is freed meanwhile.
    return tensor.to(device, non_blocking=device.type != "mps")
