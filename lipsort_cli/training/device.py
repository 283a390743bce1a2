"""Which device and how many threads a run uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lipsort_cli.devices import fast_dtype
from lipsort_cli.errors import UsageError
from lipsort_cli.processes import Place, place


def resolve_device(name: str) -> torch.device:
    """``auto`` (CUDA, then MPS, then the CPU) or a device that is there.

    Of several CUDA devices, ``auto`` takes the one of :func:`cuda_number`.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", _cuda_number())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    present = ["auto", "cpu"]
    present += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    present += ["cuda"] if torch.cuda.is_available() else []
    present += ["mps"] if torch.backends.mps.is_available() else []
    if name not in present:
        raise UsageError(f"device: found {name}; here are {', '.join(present)}")
    return torch.device(name)


def _cuda_number() -> int:
    count, where = torch.cuda.device_count(), place()
    try:
        return cuda_number(count, where, job_number())
    except ValueError:
        raise UsageError(
            f"device: found {where.local + 1} or more processes on this machine and {count} CUDA "
            "devices; start one process a device, or add device=cpu"
        ) from None


def cuda_number(count: int, where: Place, job: int | None) -> int:
    """Which of ``count`` visible CUDA devices a process takes where none is named.

    torchrun's processes take one each; jobs of a sweep take turns by their number ``job``; a run
    of its own takes the first. What is visible is set by CUDA_VISIBLE_DEVICES, as schedulers do.

    Raises:
        ValueError: more processes than devices.
    """
    if where.size > 1:
        if where.local >= count:
            raise ValueError(f"found process {where.local} of a machine with {count} devices")
        return where.local
    return 0 if job is None else job % count


def job_number() -> int | None:
    """The number of this job in Hydra's sweep; None outside one."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return int(HydraConfig.get().job.num)


_SMALL = 300_000
"""Parameters below which a second thread costs more in waiting than it saves."""


def parameter_count(*networks: nn.Module) -> int:
    """Numbers that are trained."""
    return sum(one.numel() for network in networks for one in network.parameters())


def set_threads(threads: int, *networks: nn.Module) -> None:
    """Use ``threads`` CPU threads; 0: one for small networks, torch's choice for others."""
    if threads:
        torch.set_num_threads(threads)
    elif parameter_count(*networks) < _SMALL:
        torch.set_num_threads(1)


def mixed_forward(network: nn.Sequential, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """``network`` at ``inputs`` with the products of its body in ``dtype``; its last layer, whose
    differences count, in float32."""
    if dtype == torch.float32:
        return network(inputs)
    *body, head = network
    with torch.autocast(inputs.device.type, dtype=dtype):
        for layer in body:
            inputs = layer(inputs)
    return head(inputs.float())


def training_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products while training: ``auto`` takes the device's fastest."""
    if precision == "auto":
        return fast_dtype(device.type)
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
