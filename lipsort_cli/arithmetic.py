"""The arithmetic in which networks are compared with what is certified of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class _EveryProduct:
    """What torch before 2.9 has one setting for, which two functions read and write."""

    @property
    def precision(self) -> str:
        """``highest`` keeps float32's products as they are, on CUDA and by oneDNN."""
        return torch.get_float32_matmul_precision()

    @precision.setter
    def precision(self, value: str) -> None:
        torch.set_float32_matmul_precision(value)


def _settings() -> list[tuple[Any, str, Any]]:
    """Settings of torch (object, attribute, value) that keep float32's products as they are."""
    backends: Any = torch.backends
    products: list[tuple[Any, str, Any]] = [(_EveryProduct(), "precision", "highest")]
    if hasattr(backends.mkldnn, "matmul"):
        parts = (backends.cuda.matmul, backends.mkldnn.matmul, backends.mkldnn.conv)
        products = [(part, "fp32_precision", "ieee") for part in parts]
    sums = ("fp16_reduced_precision_reduction", "bf16_reduced_precision_reduction",
            "fp16_accumulation")  # fmt: skip
    allowed = [f"allow_{name}" for name in sums if hasattr(backends.cuda.matmul, f"allow_{name}")]
    return [
        # No TF32 or bfloat16 in place of float32, on CUDA or by oneDNN on a CPU.
        *products,
        # Nor sums in fewer bits, as far as this torch has such.
        *((backends.cuda.matmul, name, False) for name in allowed),
        # cuDNN chooses among convolutions of which some are no sums of products (Winograd, FFT),
        # and torch cannot forbid these alone. Without it convolutions are products of matrices,
        # and its own TF32 goes too.
        (backends.cudnn, "enabled", False),
        (backends.cudnn, "benchmark", False),
    ]


@contextmanager
def certified_arithmetic() -> Iterator[None]:
    """Inside, torch computes as certificates say: every output a sum of products, in its dtype.

    To be used, as ``with certified_arithmetic():`` or as a decorator, wherever figures are compared
    with what is certified: on CUDA neither TF32, nor reductions in fewer bits, nor convolutions by
    Winograd's or Fourier's transforms, nor a choice of algorithms by their speed; on a CPU neither
    oneDNN's bfloat16 nor NNPACK, which has such convolutions too; no autocast. What was set before
    is set again afterwards. Slower on CUDA, so that training does without.

    MPS offers no such choice: what is compared there belongs on the CPU (:func:`judging_device`).
    """
    before = [(part, name, getattr(part, name)) for part, name, _ in _settings()]
    nnpack = torch.backends.nnpack.set_flags(False)
    try:
        for part, name, value in _settings():
            setattr(part, name, value)
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        for part, name, value in before:
            setattr(part, name, value)
        torch.backends.nnpack.set_flags(*nnpack)


def judging_device(device: torch.device) -> torch.device:
    """Where a network trained on ``device`` is compared with its certificate."""
    return torch.device("cpu") if device.type == "mps" else device
