"""lipsort: train networks of known Lipschitz constant, and certify what they are known to do.

From Python: :func:`certify`, :func:`verify`, :func:`predict`, :func:`load` and :func:`from_torch`,
with the layers of :mod:`lipsort_cli.layers` and the optimizers of :mod:`lipsort_cli.optim`. These
are stable; every other module is internal and may change with any version. Importing this package
imports neither torch nor NumPy: that happens as one of the names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipsort_cli.imports.torch_module import from_torch
    from lipsort_cli.library import certify, load, predict, verify

__all__ = ["certify", "from_torch", "load", "predict", "verify"]

__version__ = "0.1.0"

_HOMES = dict.fromkeys(("certify", "load", "predict", "verify"), "library")
_HOMES["from_torch"] = "imports.torch_module"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
