"""What plugins are written with: options of one's own for the groups of the command line.

``choice`` and ``option`` make an option of a class (see ``docs/extend.md``); the other names are
what options make. Importing this imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lipsort_cli.config.options import option
from lipsort_cli.config.registry import choice

if TYPE_CHECKING:
    from lipsort_cli.data.dataset import Dataset, Split, make_dataset
    from lipsort_cli.data.distributions.base import Pair

__all__ = ["Dataset", "Pair", "Split", "choice", "make_dataset", "option"]

_HOMES = {
    **dict.fromkeys(("Dataset", "Split", "make_dataset"), "lipsort_cli.data.dataset"),
    "Pair": "lipsort_cli.data.distributions.base",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
