"""What is given in Python, held against what is allowed: every fault is one message.

Options that a command has too are judged by that command's own configuration.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.errors import ArgumentError, UsageError, first_line
from lipsort_cli.files import resolved

if TYPE_CHECKING:
    from lipsort_cli.data.taken import Taken

Kind = TypeVar("Kind")

_ROWS = "an array, a dense tensor or lists of numbers, none of them masked"
_EXACT = 2**53
"""Up to here binary64 has every whole number."""
_LIST = "real numbers, one or a list of them"


def shown(value: Any) -> str:
    """A value in a message: arrays by type and shape, anything else as Python writes it."""
    kind = type(value).__name__
    try:
        if len(getattr(value, "shape", ())) and (
            hasattr(value, "dtype") or hasattr(value, "columns")
        ):
            dtype = f" of {value.dtype}" if hasattr(value, "dtype") else ""
            return f"{kind}{dtype} {list(value.shape)}"
        text = " ".join(repr(value).split())
    except Exception:  # of another package's object, which has no words for itself
        return f"a {kind}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def whole(key: str, value: Any, least: int = 1) -> int:
    """A whole number from ``least`` on; raises ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ArgumentError(
            f"{key}: found {shown(value)}; allowed: whole numbers, at least {least}"
        )
    return int(value)


def real(key: str, value: Any, allowed: str, fits: Callable[[float], bool]) -> float:
    """A finite number that ``fits`` what is ``allowed``; raises ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, Real) or not fits(float(value)):
        raise ArgumentError(f"{key}: found {shown(value)}; allowed: {allowed}")
    return float(value)


def truth(key: str, value: bool) -> bool:
    """True or False; raises ArgumentError."""
    return instance(key, value, bool, "True, False")


def instance(key: str, value: Kind, kind: type, allowed: str) -> Kind:
    """What is of this ``kind``; raises ArgumentError."""
    if not isinstance(value, kind):
        raise ArgumentError(f"{key}: found {shown(value)}; allowed: {allowed}")
    return value


def listed(key: str, values: Any, kind: type, allowed: str) -> list[Any]:
    """A list of such; raises ArgumentError."""
    found = [*values] if isinstance(values, Iterable) else [None]
    if not all(isinstance(value, kind) for value in found):
        raise ArgumentError(f"{key}: found {shown(values)}; allowed: {allowed}")
    return found


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
        ArgumentError: they are none, some are masked, or lists are ragged.
    """
    fault = f"{key}: found {shown(values)}"
    if isinstance(values, str | bytes | os.PathLike):
        raise ArgumentError(f"{fault}; allowed: {allowed}")
    if _masked(values):
        raise ArgumentError(f"{fault}, of which some are masked; allowed: {allowed}")
    try:
        found = np.asarray(_dense(values) if _is_tensor(values) else values)
    except Exception as error:  # whatever another package's object raises
        raise ArgumentError(f"{fault} ({first_line(error)}); allowed: {allowed}") from error
    if found.dtype.kind not in "biuf":
        raise ArgumentError(f"{fault}; allowed: {allowed}")
    return found


def _is_tensor(values: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def _masked(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(_masked(value) for value in values if not isinstance(value, int | float))
    return bool(np.ma.is_masked(values))


def _dense(tensor: Any) -> NDArray[Any]:
    import torch

    found = tensor.detach()
    if found.is_floating_point() and found.dtype not in (torch.float16, torch.float64):
        found = found.float()  # exact; NumPy has no bfloat16
    values: NDArray[Any] = found.numpy(force=True)
    return values


def rows(
    key: str, values: Any, taken: Taken | None = None, columns: list[str] | None = None
) -> NDArray[Any]:
    """Inputs [N, ...]: floats of any width as the float32 or float64 of the very same value.

    Truth values are 0 and 1. Whole numbers in lists and in columns with names are such floats;
    those of an array stay what they are, as their unit is to be told.

    Args:
        key: of the argument.
        values: what was given.
        taken: what the network takes: columns with names are matched with its own.
        columns: those that stand for these, in the same order.

    Raises:
        UsageError: as :func:`array`; a single number; more bits than float64 has; columns that
            are not those of the training.
    """
    from lipsort_cli.data import frames

    names = frames.names_of(values)
    if taken is not None and len(taken.shape) == 1 and not taken.pixels and names is not None:
        pairs = frames.matched(key, values, names, taken, columns)
        parts = [_column(f"{key}, column {name!r}", column) for name, column in pairs]
        return np.stack(parts, axis=1)
    if columns is not None:
        raise UsageError(
            f"columns: found {columns} for {shown(values)}; allowed: for a run on a table, and new "
            "data whose columns have names"
        )
    found = array(key, values)
    if not found.ndim:
        raise UsageError(f"{key}: found {shown(values)}; allowed: an array of inputs [N, ...]")
    if isinstance(values, list | tuple):
        found = _listed(key, values, found)
    return _floats(key, found) if found.dtype.kind in "bf" else found


def _column(key: str, values: Any) -> NDArray[Any]:
    found = array(key, values, "numbers, without gaps")
    return _floats(key, _as_binary64(key, found) if found.dtype.kind in "iu" else found)


def _listed(key: str, values: Any, found: NDArray[Any]) -> NDArray[Any]:
    """Lists as they were written: whole numbers that Python has no other type for are floats."""
    leaves = list(_leaves(values))
    if not all(isinstance(leaf, int | float) for leaf in leaves):
        return found  # of arrays, which have a type
    exact = _as_binary64(key, [leaf for leaf in leaves if isinstance(leaf, int)])
    return exact.reshape(found.shape) if found.dtype.kind in "iu" else found


def _as_binary64(key: str, whole: Any) -> NDArray[np.float64]:
    """Whole numbers, an array or a list, as floats of the same value.

    Raises:
        UsageError: one of them has more bits than binary64.
    """
    found = np.asarray(whole)
    large = found[(found > _EXACT) | (found < -_EXACT)].tolist() if found.size else []
    rounded = [value for value in large if int(float(value)) != value]
    if rounded:
        raise UsageError(
            f"{key}: found {rounded[0]}, which binary64 would round; allowed: whole numbers up to "
            "2**53 in size"
        )
    return found.astype(np.float64)


def _leaves(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def _floats(key: str, found: NDArray[Any]) -> NDArray[Any]:
    """Floats and truth values as float32 or float64 of the same value."""
    exact = found.astype(np.float64 if found.dtype.itemsize > 4 else np.float32)
    if found.dtype.itemsize > 8 and not np.array_equal(exact, found, equal_nan=True):
        raise UsageError(f"{key}: found {found.dtype}, which float64 would round; allowed: float64")
    return exact


def numbers(key: str, values: Any) -> list[float]:
    """Real numbers, of a list, an array, or one alone; raises ArgumentError."""
    if isinstance(values, Iterable) and not hasattr(values, "__array__"):
        values = values if isinstance(values, str | bytes | Mapping) else list(values)
    found = array(key, values, _LIST)
    if found.dtype.kind == "b" or found.ndim > 1:
        raise ArgumentError(f"{key}: found {shown(values)}; allowed: {_LIST}")
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


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "True, False"),
    "str": (lambda value: isinstance(value, str), "text"),
    "int": (
        lambda value: isinstance(value, Integral) and not isinstance(value, bool),
        "whole numbers",
    ),
    "list[str]": (
        lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
        "a list of texts",
    ),
}
"""By the type of an option: whether a value has it, and what is allowed where nothing says more."""


def _mistyped(node: Any) -> Iterator[str]:
    from lipsort_cli.config.validate import allowed

    for entry in fields(node):
        value, kind = getattr(node, entry.name), str(entry.type)
        has, words = _KINDS.get(kind.removesuffix(" | None"), (None, ""))
        if is_dataclass(value):
            yield from _mistyped(value)
        elif has and not has(value) and not (value is None and kind.endswith(" | None")):
            words = allowed(entry.metadata) or words
            yield f"{entry.name}: found {shown(value)}; allowed: {words}"
