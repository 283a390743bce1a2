"""torch's optimizers without its compiler, whose import takes as long as training on the digits.

torch imports the compiler at the first optimizer and at the first step, only to have it pass both
over. Nothing is compiled here. Where a version of torch is built otherwise, all is as it was, and
slower.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer

Kind = TypeVar("Kind", bound=Optimizer)


def uncompiled() -> None:
    """Tell torch's optimizers that their methods need no hiding from the compiler."""
    for method in vars(Optimizer).values():
        function = getattr(method, "__wrapped__", None)
        if function is not None and not hasattr(function, "__dynamo_disable"):
            setattr(function, "__dynamo_disable", function)


@cache
def eager(kind: type[Kind]) -> type[Kind]:
    """An optimizer of torch's whose step is the one that torch wraps for its compiler."""
    step = getattr(kind.step, "__wrapped__", None)
    if step is None:
        return kind
    members = {
        "step": torch.no_grad()(step),
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
        # Under its name pickle finds torch's own class.
        "__reduce__": lambda self: (_bare, (kind,), self.__getstate__()),
    }
    return type(kind.__name__, (kind,), members)


def _bare(kind: Any) -> Any:
    return object.__new__(eager(kind))
