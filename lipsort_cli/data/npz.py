"""A user's own arrays in one .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.data.dataset import Dataset, Split, make_dataset, pixels
from lipsort_cli.errors import LipsortError

_KEYS = ("x_train", "y_train", "x_test", "y_test")
MOST_CLASSES = 10_000
"""Beyond that, labels are rather identifiers than classes: each would cost an output."""


def load_npz(config: Any) -> Dataset:
    """``x_train`` [N, ...], ``y_train`` [N], ``x_test`` [M, ...], ``y_test`` [M] of an .npz file.

    Inputs are floats (taken as they are) or uint8 (divided by 255); labels are integers from 0 to
    C - 1, each of which ``y_train`` has.

    Raises:
        LipsortError: the file is missing or damaged, an array is missing, or shapes, types or
            values do not fit; all faults of the arrays are named together.
    """
    path = Path(config.path).expanduser()
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive.files]
            if missing:
                raise LipsortError(
                    f"{path}: missing {', '.join(missing)}; found "
                    f"{', '.join(archive.files) or 'no arrays'}; needed are {', '.join(_KEYS)}"
                )
            arrays = {key: archive[key] for key in _KEYS}
    except FileNotFoundError as error:
        raise LipsortError(f"{path}: no such file; set data.path to an .npz file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise LipsortError(
            f"{path}: not a readable .npz file ({reason}); "
            f"write one with numpy.savez(path, {', '.join(f'{key}=...' for key in _KEYS)})"
        ) from error
    faults = _faults(arrays)
    if faults:
        raise LipsortError(f"{path}: " + "; ".join(faults))
    inputs = [_inputs(arrays[key]) for key in ("x_train", "x_test")]
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
        pixels=all(arrays[key].dtype == np.uint8 for key in ("x_train", "x_test")),
    )


def _inputs(array: NDArray[Any]) -> torch.Tensor:
    if array.dtype == np.uint8:
        return pixels(torch.from_numpy(array))
    return torch.from_numpy(array.astype(np.float32))


def _faults(arrays: dict[str, NDArray[Any]]) -> list[str]:
    faults = []
    for split in ("train", "test"):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if x.dtype != np.uint8 and x.dtype.kind != "f":
            faults.append(f"x_{split}: found {x.dtype}; allowed are floats and uint8")
        elif x.dtype.kind == "f" and not np.isfinite(x).all():
            bad = int((~np.isfinite(x)).sum())
            faults.append(f"x_{split}: found {bad} values that are NaN or infinite; remove them")
        elif x.dtype.kind == "f" and np.abs(x).max(initial=0) > np.finfo(np.float32).max:
            faults.append(f"x_{split}: found values beyond float32; rescale them")
        if x.ndim < 2 or 0 in x.shape:
            faults.append(f"x_{split}: found shape {x.shape}; needed is [N, ...], nothing empty")
        if y.ndim != 1 or len(y) != len(x):
            faults.append(f"y_{split}: found shape {y.shape}; needed is [{len(x)}]")
        if y.dtype.kind not in "iu":
            faults.append(f"y_{split}: found {y.dtype}; needed are integers")
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
    return faults or _label_faults(arrays["y_train"], arrays["y_test"])


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
    shown = ", ".join(str(label) for label in labels[:5])
    return f"label{'s' if len(labels) > 1 else ''} {shown}{', ...' if len(labels) > 5 else ''}"
