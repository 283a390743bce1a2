"""A folder of a user's own images: flat, one subfolder a class, or split into train/ and test/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lipsort_cli.data.dataset import Dataset, Split, make_dataset, pixels
from lipsort_cli.data.readers import IMAGES
from lipsort_cli.errors import LipsortError, UsageError

_MODES = {"grey": "L", "rgb": "RGB"}


def load_folder(config: Any) -> Dataset:
    """Pixels / 255 of all images under ``config.path``, [N, C, H, W]; classes by subfolder.

    Subfolders in the order of their names are the classes; a flat folder is one class. Where there
    are ``train`` and ``test``, these are the splits; otherwise ``config.test`` of the images is
    held out by a fixed shuffle.

    Raises:
        UsageError: no such folder, no images, or images of several sizes without ``config.size``.
        LipsortError: an image cannot be read.
    """
    root = Path(config.path).expanduser()
    if not root.is_dir():
        raise UsageError(f"data.path: found {config.path}, which is no folder")
    parts = [root / "train", root / "test"]
    if all(part.is_dir() for part in parts):
        names = [_classes(part) for part in parts]
        if names[0] != names[1]:
            raise UsageError(
                f"data.path: the classes of {parts[0]} are {_few(names[0])}, those of {parts[1]} "
                f"{_few(names[1])}; they must agree"
            )
        listed = [_files(part, names[0]) for part in parts]
        splits = _read(listed, config)
        count = max(1, len(names[0]))
    else:
        classes = _classes(root)
        (everything,) = _read([_files(root, classes)], config)
        splits = _held_out(everything, config)
        count = max(1, len(classes))
    return make_dataset(
        root.resolve().name,
        *splits,
        validation=config.validation,
        bounds=(0.0, 1.0),
        classes=count,
    )


def _classes(folder: Path) -> list[str]:
    """Names of the subfolders that hold images."""
    return sorted(sub.name for sub in folder.iterdir() if sub.is_dir() and _images(sub))


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def _files(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    if not classes:
        files = [(path, 0) for path in _images(folder)]
    else:
        files = [(path, i) for i, name in enumerate(classes) for path in _images(folder / name)]
    if not files:
        raise UsageError(
            f"data.path: {folder} holds no images ({', '.join(IMAGES)}), nor do its subfolders"
        )
    return files


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "none"


def _read(listed: list[list[tuple[Path, int]]], config: Any) -> list[Split]:
    """One split a list of files; mode and size are those of the first image of all."""
    mode = _MODES.get(config.colour, "")
    shape: tuple[int, int] | None = None
    splits = []
    for files in listed:
        arrays = []
        for path, _ in files:
            image, mode = _image(path, mode, config.size)
            if shape is None:
                shape = image.shape[:2]
            if image.shape[:2] != shape:
                raise UsageError(
                    f"data.size: {path} has {image.shape[1]}x{image.shape[0]} pixels, the first "
                    f"image {shape[1]}x{shape[0]}; give data.size=N to cut and scale all to NxN"
                )
            arrays.append(image)
        stacked = torch.from_numpy(np.stack(arrays))
        channels = stacked.unsqueeze(1) if stacked.dim() == 3 else stacked.permute(0, 3, 1, 2)
        labels = torch.tensor([label for _, label in files], dtype=torch.int64)
        splits.append(Split(pixels(channels).contiguous(), labels))
    return splits


def _image(path: Path, mode: str, size: int | None) -> tuple[NDArray[np.uint8], str]:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            mode = mode or ("L" if opened.mode in ("1", "L", "I;16") else "RGB")
            image = opened.convert(mode)
            if size is not None:
                image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
            return np.asarray(image, dtype=np.uint8), mode
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise LipsortError(f"{path}: not a readable image ({error})") from error


def _held_out(everything: Split, config: Any) -> list[Split]:
    count = len(everything)
    held = max(1, round(config.test * count))
    if count - held < 1:
        raise UsageError(
            f"data.path: found {count} image in {config.path}; at least 2 are needed, one of them "
            "for the test"
        )
    # By a fixed shuffle: the split is part of the data, not of the run. Not the one that the
    # validation part is drawn with.
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    return [
        Split(everything.inputs[index].contiguous(), everything.labels[index].contiguous())
        for index in (order[held:].sort().values, order[:held].sort().values)
    ]
