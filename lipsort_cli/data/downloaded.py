"""MNIST, Fashion-MNIST and CIFAR-10 from a folder, downloaded by torchvision on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsort_cli.data.dataset import Dataset, Split, make_dataset, pixels
from lipsort_cli.errors import LipsortError

_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}
_CIFAR_BINARY = "cifar-10-batches-bin"
_CIFAR_RECORD = 1 + 3 * 32 * 32


def load_downloaded(config: Any) -> Dataset:
    """The data set ``config.name`` under ``config.root``, in torchvision's layout.

    CIFAR-10 is also read from its official binary distribution (``cifar-10-batches-bin``).

    Raises:
        LipsortError: the files are absent and may not or cannot be downloaded, or are damaged.
    """
    root = Path(config.root).expanduser()
    if config.name == "cifar10" and (root / _CIFAR_BINARY).is_dir():
        train, test = _cifar_binary(root / _CIFAR_BINARY)
    else:
        train, test = (_torchvision(config, root, train) for train in (True, False))
    return make_dataset(
        config.name, train, test, validation=config.validation, bounds=(0.0, 1.0), classes=10
    )


def _torchvision(config: Any, root: Path, train: bool) -> Split:
    from lipsort_cli.data.torchvision_shim import import_torchvision

    label = _CLASSES[config.name]
    if config.name in _IDX_NAMES:
        _check_idx(root / label / "raw", train)
    dataset_class = getattr(import_torchvision("torchvision.datasets"), label)
    try:
        dataset = dataset_class(str(root), train=train, download=False)
    except Exception as absent:  # torchvision raises what its readers happen to raise
        if not _missing(root, config.name):
            raise LipsortError(_damaged(label, root, absent)) from absent
        dataset = _download(dataset_class, config, root, train, label)
    data, targets = torch.as_tensor(dataset.data), torch.as_tensor(dataset.targets)
    expected = (50_000 if config.name == "cifar10" else 60_000) if train else 10_000
    if len(data) != expected or len(targets) != expected:
        reason = f"found {len(data)} images and {len(targets)} labels, expected {expected}"
        raise LipsortError(_damaged(label, root, reason))
    # Grey images are [N, H, W], colour images [N, H, W, C].
    data = data.unsqueeze(1) if data.dim() == 3 else data.permute(0, 3, 1, 2)
    return Split(pixels(data).contiguous(), targets.to(torch.int64))


def _missing(root: Path, name: str) -> bool:
    """Whether files of the data set are absent, rather than damaged."""
    if name == "cifar10":
        folder = root / "cifar-10-batches-py"
        wanted = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch", "batches.meta"]
        return not all((folder / file).is_file() for file in wanted)
    folder = root / _CLASSES[name] / "raw"
    wanted = [f"{split}-{kind}" for split in ("train", "t10k") for kind in _IDX]
    return not all((folder / file).is_file() for file in wanted)


_IDX = ("images-idx3-ubyte", "labels-idx1-ubyte")
_IDX_NAMES = ("mnist", "fashion_mnist")


def _check_idx(folder: Path, train: bool) -> None:
    """Compare each file of the split that is there with the header and size it must have.

    Torchvision would report the shape of a tensor instead of the file that is damaged.
    """
    count = 60_000 if train else 10_000
    for kind, shape in zip(_IDX, ((count, 28, 28), (count,)), strict=True):
        path = folder / f"{'train' if train else 't10k'}-{kind}"
        # Magic number 0, 0, 8 (unsigned bytes), dimensions; then the sizes, big-endian.
        header = bytes((0, 0, 8, len(shape))) + b"".join(n.to_bytes(4, "big") for n in shape)
        try:
            if not path.is_file():
                continue
            size = path.stat().st_size
            with path.open("rb") as file:
                found = file.read(len(header))
        except OSError as error:
            raise LipsortError(
                f"cannot read {path}: {error.strerror or error}; replace this file, or set "
                "data.root to another copy"
            ) from error
        expected = len(header) + int(np.prod(shape))
        fault = (
            f"found {size} bytes, expected {expected}"
            if size != expected
            else f"it does not begin with the header of {count} IDX records"
            if found != header
            else None
        )
        if fault:
            raise LipsortError(
                f"{path} is damaged: {fault}; replace this file, or set data.root to another copy"
            )


def _download(dataset_class: Any, config: Any, root: Path, train: bool, label: str) -> Any:
    where = f"{label} is not under {root.resolve()}"
    advice = "set data.root=FOLDER or the variable LIPSORT_DATA to the folder that holds it"
    if not config.download:
        raise LipsortError(f"{where}, and data.download=false; {advice}, or let it download")
    from lipsort_cli.console import console

    console.print(f"{where}: downloading it there", markup=False)
    try:
        return dataset_class(str(root), train=train, download=True)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise LipsortError(
            f"{where}, and it could not be downloaded "
            f"({reason[0] if reason else type(error).__name__}); with a network try again, "
            f"without one {advice}"
        ) from error


def _damaged(label: str, root: Path, reason: object) -> str:
    lines = str(reason).strip().splitlines()
    return (
        f"{label} under {root.resolve()} is damaged "
        f"({lines[0] if lines else type(reason).__name__}); replace its files by those of another "
        "copy, or set data.root to an empty folder to download it afresh"
    )


def _cifar_binary(folder: Path) -> tuple[Split, Split]:
    """The official binary distribution: records of a label byte and 3 x 32 x 32 pixels."""

    def read(names: list[str]) -> Split:
        batches = []
        for name in names:
            try:
                content = np.fromfile(folder / name, dtype=np.uint8)
            except OSError as error:
                raise LipsortError(
                    f"cannot read {folder / name}: {error.strerror or error}; "
                    "restore the file, or set data.root to another copy"
                ) from error
            if content.size != 10_000 * _CIFAR_RECORD:
                raise LipsortError(
                    f"{folder / name} is damaged: found {content.size} bytes, expected "
                    f"{10_000 * _CIFAR_RECORD}; restore the file"
                )
            batches.append(content.reshape(-1, _CIFAR_RECORD))
        records = torch.from_numpy(np.concatenate(batches))
        if int(records[:, 0].max()) > 9:
            raise LipsortError(f"{folder}: found a label above 9; the files are damaged")
        images = records[:, 1:].reshape(-1, 3, 32, 32)
        return Split(pixels(images), records[:, 0].to(torch.int64))

    train = read([f"data_batch_{i}.bin" for i in range(1, 6)])
    return train, read(["test_batch.bin"])
