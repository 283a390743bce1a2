"""What is given in Python, held against what is allowed: every fault is one message.

Options that a command has too are judged by that command's own configuration.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.errors import ArgumentError, UsageError, first_line
from lipsort_cli.files import resolved

_ROWS = "an array, a dense tensor or lists of numbers, none of them masked"
_LIST = "real numbers, one or a list of them"


def shown(value: Any) -> str:
    """A value in a message: arrays by type and shape, anything else as Python writes it."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{type(value).__name__} of {value.dtype} {list(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def whole(key: str, value: Any, least: int = 1) -> int:
    """A whole number from ``least`` on; raises ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ArgumentError(
            f"{key}: found {shown(value)}; allowed: whole numbers, at least {least}"
        )
    return int(value)


def place(key: str, value: Any, allowed: str) -> Path:
    """A path that a person wrote; raises UsageError for what is none, and for the empty one."""
    from lipsort_cli.finding import usable_folder

    text = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"{key}: found {shown(value)}; allowed: {allowed}")
    return resolved(usable_folder(key, text))


def array(key: str, values: Any, allowed: str = _ROWS) -> NDArray[Any]:
    """Numbers as an array of NumPy, from one of NumPy's, a tensor on any device, or lists.

    Raises:
        UsageError: they are none, some are masked, or lists are ragged.
    """
    fault = f"{key}: found {shown(values)}"
    if isinstance(values, str | bytes | os.PathLike):
        raise UsageError(f"{fault}; allowed: {allowed}")
    if _masked(values):
        raise UsageError(f"{fault}, of which some are masked; allowed: {allowed}")
    try:
        found = np.asarray(_dense(values) if hasattr(values, "detach") else values)
    except Exception as error:  # whatever another package's object raises
        raise UsageError(f"{fault} ({first_line(error)}); allowed: {allowed}") from error
    if found.dtype.kind not in "biuf":
        raise UsageError(f"{fault}; allowed: {allowed}")
    return found


def _masked(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(_masked(value) for value in values if not isinstance(value, int | float))
    return bool(np.ma.is_masked(values))


def _dense(tensor: Any) -> NDArray[Any]:
    import torch

    found = tensor.detach()
    if found.is_floating_point() and found.dtype not in (torch.float16, torch.float64):
        found = found.float()  # exact; NumPy has no bfloat16
    values: NDArray[Any] = found.cpu().numpy()
    return values


def rows(key: str, values: Any) -> NDArray[Any]:
    """Inputs [N, ...]: floats of any width as the float32 or float64 of the very same value.

    Truth values are 0 and 1; whole numbers stay what they are, as their unit is to be told.

    Raises:
        UsageError: as :func:`array`; a single number; more bits than float64 has.
    """
    found = array(key, values)
    if not found.ndim:
        raise UsageError(f"{key}: found {shown(values)}; allowed: an array of inputs [N, ...]")
    if found.dtype.kind not in "bf":
        return found
    exact = found.astype(np.float64 if found.dtype.itemsize > 4 else np.float32)
    if found.dtype.itemsize > 8 and not np.array_equal(exact, found, equal_nan=True):
        raise UsageError(f"{key}: found {found.dtype}, which float64 would round; allowed: float64")
    return exact


def numbers(key: str, values: Any) -> list[float]:
    """Real numbers, of a list, an array, or one alone; raises UsageError."""
    if isinstance(values, Iterable) and not hasattr(values, "__array__"):
        values = values if isinstance(values, str | bytes | Mapping) else list(values)
    found = array(key, values, _LIST)
    if found.dtype.kind == "b" or found.ndim > 1:
        raise UsageError(f"{key}: found {shown(values)}; allowed: {_LIST}")
    return [float(value) for value in found.reshape(-1).tolist()]


def options(config: Any) -> None:
    """Refuse what a command's configuration, made from arguments, does not allow.

    Raises:
        UsageError: all faults together, as the command line's.
    """
    from lipsort_cli.config.typed import usage_error
    from lipsort_cli.config.validate import faults

    if found := [*_mistyped(config)] or faults(config):
        raise usage_error(found)


def _mistyped(node: Any) -> Iterator[str]:
    from lipsort_cli.config.validate import allowed

    for entry in fields(node):
        value, kind = getattr(node, entry.name), str(entry.type)
        if is_dataclass(value):
            yield from _mistyped(value)
        elif kind == "bool" and not isinstance(value, bool):
            yield f"{entry.name}: found {shown(value)}; allowed: True, False"
        elif kind == "str" or (kind == "str | None" and value is not None):
            words = allowed(entry.metadata) or "text"
            fault = f"{entry.name}: found {shown(value)}; allowed: {words}"
            yield from [fault] * (not isinstance(value, str))
