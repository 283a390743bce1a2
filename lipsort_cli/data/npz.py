"""A user's own arrays in one .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.config.data import NpzData
from lipsort_cli.console import say, warn
from lipsort_cli.data.dataset import Dataset, Split, make_dataset
from lipsort_cli.data.options import few, packed_words
from lipsort_cli.data.pictures import (
    APART,
    ArrayView,
    announced_scale,
    channels_last,
    channels_warning,
    full_scale,
)
from lipsort_cli.data.precision import blurred
from lipsort_cli.data.rowfile import opened_npz, read_member
from lipsort_cli.errors import UsageError
from lipsort_cli.files import readable, resolved

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_LABELS = ["y_train", "y_test"]
"""Those that a generator does without."""
_WAY_OUT = f"write one with numpy.savez(path, {', '.join(f'{key}=...' for key in _KEYS)})"
MOST_CLASSES = 10_000
"""Beyond that, labels are rather identifiers than classes: each would cost an output."""


def load_npz(config: NpzData) -> Dataset:
    """``x_train`` [N, ...], ``y_train`` [N], ``x_test`` [M, ...], ``y_test`` [M] of an .npz file.

    Inputs are floats (taken as they are), uint8 or uint16 (pixels, divided by 255 or 65,535; by
    nothing where all are 0 or 1), or bool: of one kind in both splits. Labels are integers from 0
    to C - 1, each of which ``y_train`` has; without both, all is one class, as generators take it.

    Raises:
        UsageError: there is no such file, it is none of NumPy's or damaged, an array is missing,
            or shapes, types or values do not fit; all faults of the arrays are named together.
    """
    path = resolved(config.path)
    if not path.exists():
        raise UsageError(f"data.path: found {path}; no such file; allowed: an .npz file")
    with readable(path):
        if not zipfile.is_zipfile(path):
            words = packed_words(path) or f"; {_WAY_OUT}"
            raise UsageError(f"data.path: found {path}, which is no .npz file{words}")
        with opened_npz(path) as (archive, names):
            missing = [key for key in _KEYS if key not in names]
            if missing and missing != _LABELS:
                raise UsageError(
                    f"{path}: missing {', '.join(missing)}; found {few(names) or 'no arrays'}; "
                    f"needed are {', '.join(_KEYS)}"
                )
            arrays = {key: read_member(archive, key) for key in _KEYS if key in names}
    if missing:
        say(f"{path}: holds no y_train and y_test: inputs without classes, for a generator alone")
        for key in _LABELS:
            arrays[key] = np.zeros(len(np.atleast_1d(arrays[key.replace("y", "x")])), np.int64)
    if others := [name for name in names if name not in _KEYS]:
        say(f"{path}: left out, as only {', '.join(_KEYS)} are read: {few(others)}")
    faults = _faults(arrays, labelled=not missing)
    if faults:
        raise UsageError(f"{path}: " + "; ".join(faults))
    view = _view(arrays, path, getattr(config, "channels", "auto"))
    inputs = [
        torch.from_numpy(np.ascontiguousarray(view(arrays[key]), np.float32))
        for key in ("x_train", "x_test")
    ]
    for rounded, key in zip(inputs, ("x_train", "x_test"), strict=True):
        _refuse_blur(rounded.numpy(), view(arrays[key]), f"{path}: {key}")
    low = min(float(x.min()) for x in inputs)
    high = max(float(x.max()) for x in inputs)
    labels = [torch.from_numpy(arrays[key].astype(np.int64)) for key in ("y_train", "y_test")]
    return make_dataset(
        path.stem,
        Split(inputs[0], labels[0]),
        Split(inputs[1], labels[1]),
        validation=config.validation,
        # Inputs within [0, 1] are taken for pixels; attacks on others are not clipped.
        bounds=(0.0, 1.0) if low >= 0 and high <= 1 else None,
        pixels=view.full is not None or arrays["x_train"].dtype == bool,
        view=view,
        classes=1 if missing else None,
    )


def _view(arrays: dict[str, NDArray[Any]], path: Path, layout: str) -> ArrayView:
    """One way of reading the inputs of both splits: what one array says goes for the other."""
    x, y = arrays["x_train"], arrays["x_test"]
    last = channels_last(x.shape[1:], layout)
    if last and layout == "auto":
        way_out = "; data.channels=first or last says so without this warning"
        warn(channels_warning(x.shape[1:], str(path), way_out))
    full = announced_scale(str(path), x.dtype, int(max(x.max(), y.max())))
    reach = [float(np.abs(array.astype(np.float64)).max()) for array in (x, y)]
    if max(reach) > APART * min(reach):
        warn(f"{path}: found inputs up to {reach[0]:g} in size for training, up to {reach[1]:g} "
             "for the test: are both in one unit?")  # fmt: skip
    return ArrayView(full, last)


def _refuse_blur(rounded: NDArray[np.float32], values: NDArray[Any], name: str) -> None:
    """Refuse inputs whose differences float32, which networks compute in, would lose."""
    if values.dtype.kind != "f" or values.dtype.itemsize <= 4:
        return
    if found := blurred(values.reshape(len(values), -1), rounded.reshape(len(values), -1)):
        raise UsageError(f"{name}: input {found[0]} {found[1]}")


def _faults(arrays: dict[str, NDArray[Any]], labelled: bool) -> list[str]:
    faults = []
    for split in ("train", "test"):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if full_scale(x.dtype) is None and x.dtype.kind not in "fb":
            faults.append(
                f"x_{split}: found {x.dtype}; allowed are floats and uint8 or uint16 pixels, bool"
            )
        elif x.dtype.kind == "f" and not np.isfinite(x).all():
            bad = int((~np.isfinite(x)).sum())
            faults.append(f"x_{split}: found {bad} values that are NaN or infinite; remove them")
        elif x.dtype.kind == "f" and np.abs(x).max(initial=0) > np.finfo(np.float32).max:
            faults.append(f"x_{split}: found values beyond float32; rescale them")
        if x.ndim < 2 or 0 in x.shape:
            faults.append(f"x_{split}: found shape {x.shape}; needed is [N, ...], nothing empty")
        if x.ndim and y.shape != x.shape[:1]:
            faults.append(f"y_{split}: found shape {y.shape}; needed is {list(x.shape[:1])}")
        if y.dtype.kind not in "biu":
            faults.append(f"y_{split}: found {y.dtype}; needed are integers or bool")
        elif y.size and int(y.min()) < 0:
            faults.append(f"y_{split}: found label {int(y.min())}; labels count from 0")
        elif y.size and int(y.max()) >= MOST_CLASSES:
            faults.append(
                f"y_{split}: found label {int(y.max())}; allowed are 0 to {MOST_CLASSES - 1}, "
                "numbered without gaps"
            )
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        faults.append(
            f"found inputs of shape {arrays['x_train'].shape[1:]} for training and "
            f"{arrays['x_test'].shape[1:]} for the test; they must agree"
        )
    if faults := faults or _unit_faults(arrays):
        return faults
    return _label_faults(arrays["y_train"], arrays["y_test"]) if labelled else []


def _unit_faults(arrays: dict[str, NDArray[Any]]) -> list[str]:
    """Inputs of both splits are in one unit: of one kind, and not pixels on one side only."""
    x, y = arrays["x_train"], arrays["x_test"]
    found = "found {} for training and {} for the test; save both in one unit"
    if (x.dtype.kind, full_scale(x.dtype)) != (y.dtype.kind, full_scale(y.dtype)):
        return [found.format(f"inputs of {x.dtype}", f"{y.dtype}")]
    reach = [float(np.abs(array).max()) for array in (x, y)] if x.dtype.kind == "f" else [0.0]
    levels = (x, y)[int(np.argmax(reach))]
    if min(reach) <= 1 and 64 < max(reach) <= 65535 and bool((levels == np.rint(levels)).all()):
        return [found.format(*(f"inputs up to {high:g}" for high in reach))]
    return []


def _label_faults(y_train: NDArray[Any], y_test: NDArray[Any]) -> list[str]:
    """Classes must be 0 to C - 1, each with a training example."""
    known, asked = np.unique(y_train), np.unique(y_test)
    faults = []
    if len(known) < 2:
        faults.append(f"y_train: found 1 class (label {known[0]}); a classifier needs at least 2")
    absent = np.setdiff1d(np.arange(int(known[-1]) + 1), known)
    if len(absent):
        faults.append(
            f"y_train: found labels up to {known[-1]} without {_few(absent)}; number the "
            f"{len(known)} classes from 0 to {len(known) - 1}"
        )
    unknown = np.setdiff1d(asked, known)
    if len(unknown):
        faults.append(
            f"y_test: found {_few(unknown)}, which y_train has no example of; add some, or remove "
            "them from the test set"
        )
    return faults


def _few(labels: NDArray[Any]) -> str:
    return f"label{'s' if len(labels) > 1 else ''} {few([str(label) for label in labels])}"
