"""Import torchvision where only its Python half works.

The registry's torchvision is built against the CUDA build of torch; next to the CPU build of torch
its compiled operators do not load, and the import fails on `operator torchvision::nms does not
exist`. Declaring the two schemas is enough for data sets, transforms and utilities, which never
call them.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch


def import_torchvision(module: str = "torchvision") -> ModuleType:
    """``importlib.import_module(module)``, with the missing schemas declared if need be."""
    try:
        return importlib.import_module(module)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for schema in (
        "torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "torchvision::qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        name, _, signature = schema.partition("(")
        torch.library.define(name, f"({signature}")
    return importlib.import_module(module)
