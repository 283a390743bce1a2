"""Data sets of torchvision from a folder, downloaded on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsort_cli.config.data import DownloadedData, TorchvisionData
from lipsort_cli.data.dataset import Dataset, Split, held_out, make_dataset
from lipsort_cli.data.pictures import ArrayView, Reading, channels_last, scaled
from lipsort_cli.errors import LipsortError, first_line
from lipsort_cli.files import read_bytes, resolved

_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}
_COUNTS = {"MNIST": (60_000, 10_000), "FashionMNIST": (60_000, 10_000), "CIFAR10": (50_000, 10_000)}
_CIFAR_BINARY = "cifar-10-batches-bin"
_CIFAR_RECORD = 1 + 3 * 32 * 32

_TRAIN = {"train": {"train": True}, "test": {"train": False}}
_SPLIT = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE = {**_SPLIT, "validation": {"split": "val"}}
_PARTS: dict[str, dict[str, dict[str, Any]]] = {
    **dict.fromkeys(
        ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST", "USPS", "CIFAR10", "CIFAR100"),
        _TRAIN,
    ),
    **dict.fromkeys(("SVHN", "STL10", "GTSRB", "Food101"), _SPLIT),
    **dict.fromkeys(("Flowers102", "DTD", "FGVCAircraft"), _THREE),
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "Imagenette": {"train": {"split": "train"}, "test": {"split": "val"}},
    "EuroSAT": {"train": {}},
}
"""How each class of torchvision is asked for its splits."""


def load_downloaded(config: DownloadedData) -> Dataset:
    """The data set ``config.name`` under ``config.root``, in torchvision's layout.

    CIFAR-10 is also read from its official binary distribution (``cifar-10-batches-bin``). Where a
    data set has no test split, ``config.test`` of it is held out; its own validation split is one.

    Raises:
        LipsortError: the files are absent and may not or cannot be downloaded, or are damaged.
    """
    root = resolved(config.root)
    label = _CLASSES.get(config.name, config.name)
    names: tuple[str, ...] = ()
    if label == "CIFAR10" and (root / _CIFAR_BINARY).is_dir():
        train, test = _cifar_binary(root / _CIFAR_BINARY)
        found = {"train": train, "test": test}
    else:
        found = {}
        for part, arguments in _PARTS[label].items():
            found[part], names = _torchvision(config, root, label, part, arguments)
    if "test" not in found and isinstance(config, TorchvisionData):
        found["train"], found["test"] = held_out(found["train"], config.test, label)
    return make_dataset(
        config.name,
        found["train"],
        found["test"],
        validation=found.get("validation", config.validation),
        bounds=(0.0, 1.0),
        classes=len(names) or 10,
        # The three sets that lipsort names itself have always had numbers.
        names=names if config.name == label else (),
        view=ArrayView(255),
    )


def _torchvision(
    config: DownloadedData, root: Path, label: str, part: str, arguments: dict[str, Any]
) -> tuple[Split, tuple[str, ...]]:
    """One split, and the names of its classes."""
    from lipsort_cli.data.torchvision_shim import import_torchvision

    if label in _IDX_NAMES:
        _check_idx(root / label / "raw", part == "train")
    dataset_class = getattr(import_torchvision("torchvision.datasets"), label)
    if label == "EMNIST" and isinstance(config, TorchvisionData):
        arguments = {**arguments, "split": config.split}
    try:
        dataset = dataset_class(str(root), **arguments, download=False)
    except Exception as absent:  # torchvision raises what its readers happen to raise
        if label in _COUNTS and not _missing(root, label):
            raise LipsortError(_damaged(label, root, absent)) from absent
        dataset = _download(dataset_class, config, root, arguments, label, absent)
    try:
        data, targets = _arrays(dataset, config, label)
    except LipsortError:
        raise
    except Exception as error:  # the same
        raise LipsortError(_damaged(label, root, error)) from error
    expected = _COUNTS.get(label, (len(data),) * 2)[part != "train"]
    if len(data) != expected or len(targets) != expected:
        reason = f"found {len(data)} images and {len(targets)} labels, expected {expected}"
        raise LipsortError(_damaged(label, root, reason))
    return _named(Split(data, targets), dataset, label)


def _arrays(dataset: Any, config: DownloadedData, label: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels [N, C, H, W] and labels [N] of a data set of torchvision."""
    if not isinstance(getattr(dataset, "data", None), (np.ndarray, torch.Tensor)):
        return _pictures(dataset, config, label)
    levels = np.asarray(dataset.data)
    targets = torch.as_tensor(getattr(dataset, "targets", getattr(dataset, "labels", None)))
    targets = targets[:, 0] if targets.dim() == 2 else targets  # QMNIST: the class, then the writer
    if levels.ndim == 3:
        levels = levels[:, None]
    elif channels_last(levels.shape[1:]):
        levels = np.moveaxis(levels, 3, 1)
    data = np.ascontiguousarray(scaled(levels, 255))
    return torch.from_numpy(data), targets.to(torch.int64)


def _pictures(
    dataset: Any, config: DownloadedData, label: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of a data set whose pictures are files, read one by one."""
    reading = Reading(colour="rgb", size=getattr(config, "size", None))
    stacked: torch.Tensor | None = None
    targets = torch.empty(len(dataset), dtype=torch.int64)
    for row in range(len(dataset)):
        image, target = dataset[row]
        found = torch.from_numpy(reading.pixels(image, f"{label} {row}", 3))
        if stacked is None:
            stacked = torch.empty(len(dataset), *found.shape)
        reading.same_size(
            f"{label}, picture {row},", tuple(found.shape), "picture 0", tuple(stacked.shape[1:])
        )
        stacked[row], targets[row] = found, int(target)
    if stacked is None:
        raise LipsortError(f"{label}: found no pictures")
    return stacked, targets


def _named(split: Split, dataset: Any, label: str) -> tuple[Split, tuple[str, ...]]:
    """Labels counted from 0, and the names of the classes where torchvision has them."""
    listed = [n[0] if isinstance(n, tuple) else n for n in getattr(dataset, "classes", [])]
    names = [str(name) for name in listed]  # Imagenette's are tuples of synonyms
    if label == "EMNIST" and names[:1] == ["N/A"]:  # the letters count from 1
        return Split(split.inputs, split.labels - 1), tuple(names[1:])
    count = max(int(split.labels.max()) + 1, len(names))
    return split, tuple(names) if len(names) == count else tuple(map(str, range(count)))


def _missing(root: Path, label: str) -> bool:
    """Whether files of the data set are absent, rather than damaged."""
    if label == "CIFAR10":
        folder = root / "cifar-10-batches-py"
        wanted = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch", "batches.meta"]
        return not all((folder / file).is_file() for file in wanted)
    folder = root / label / "raw"
    wanted = [f"{split}-{kind}" for split in ("train", "t10k") for kind in _IDX]
    return not all((folder / file).is_file() for file in wanted)


_IDX = ("images-idx3-ubyte", "labels-idx1-ubyte")
_IDX_NAMES = ("MNIST", "FashionMNIST")


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


def _download(
    dataset_class: Any,
    config: DownloadedData,
    root: Path,
    arguments: dict[str, Any],
    label: str,
    absent: Exception,
) -> Any:
    where = f"{label} is not under {root.resolve()}"
    if label not in _COUNTS:  # whose files are not looked at here: they may be there, and damaged
        where += f", or not whole ({first_line(absent)})"
    advice = "set data.root=FOLDER or the variable LIPSORT_DATA to the folder that holds it"
    if not config.download:
        raise LipsortError(f"{where}, and data.download=false; {advice}, or let it download")
    from lipsort_cli.console import console

    console.print(f"{where}: downloading it there", markup=False)
    try:
        return dataset_class(str(root), **arguments, download=True)
    except Exception as error:
        raise LipsortError(
            f"{where}, and it could not be downloaded ({first_line(error)}); with a network try "
            f"again, without one {advice}"
        ) from error


def _damaged(label: str, root: Path, reason: str | Exception) -> str:
    words = reason if isinstance(reason, str) else first_line(reason)
    return (
        f"{label} under {root.resolve()} is damaged ({words}); replace its files by those of "
        "another copy, or set data.root to an empty folder to download it afresh"
    )


def _cifar_binary(folder: Path) -> tuple[Split, Split]:
    """The official binary distribution: records of a label byte and 3 x 32 x 32 pixels."""

    def read(names: list[str]) -> Split:
        batches = []
        for name in names:
            whole = 10_000 * _CIFAR_RECORD
            content = np.frombuffer(read_bytes(folder / name, whole), np.uint8)
            if content.size != whole:
                raise LipsortError(
                    f"{folder / name} is damaged: found {content.size} bytes, expected "
                    f"{whole}; restore the file, or set data.root to another copy"
                )
            batches.append(content.reshape(-1, _CIFAR_RECORD))
        records = np.concatenate(batches)
        if int(records[:, 0].max()) > 9:
            raise LipsortError(f"{folder}: found a label above 9; the files are damaged")
        images = records[:, 1:].reshape(-1, 3, 32, 32)
        labels = torch.from_numpy(records[:, 0].astype(np.int64))
        return Split(torch.from_numpy(scaled(images, 255)), labels)

    train = read([f"data_batch_{i}.bin" for i in range(1, 6)])
    return train, read(["test_batch.bin"])
