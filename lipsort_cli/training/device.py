"""Which device and how many threads a run uses."""

from __future__ import annotations

import torch

from lipsort_cli.errors import UsageError
from lipsort_cli.optim.polar import fast_dtype


def resolve_device(name: str) -> torch.device:
    """``auto`` (CUDA, then MPS, then the CPU) or a device that is there.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    present = ["auto", "cpu"]
    present += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    present += ["cuda"] if torch.cuda.is_available() else []
    present += ["mps"] if torch.backends.mps.is_available() else []
    if name not in present:
        raise UsageError(f"device: found {name}; here are {', '.join(present)}")
    return torch.device(name)


_SMALL = 300_000
"""Parameters below which a second thread costs more in waiting than it saves."""


def set_threads(threads: int, parameters: int) -> None:
    """Use ``threads`` CPU threads; 0: one for a small network, torch's choice for others."""
    if threads:
        torch.set_num_threads(threads)
    elif parameters < _SMALL:
        torch.set_num_threads(1)


def training_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products while training: ``auto`` takes the device's fastest."""
    if precision == "auto":
        return fast_dtype(device.type)
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
