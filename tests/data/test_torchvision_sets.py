"""torchvision's data sets by name: every one of them, laid out as torchvision does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lipsort_cli.config.data import TORCHVISION, TorchvisionData
from lipsort_cli.data import load, torchvision_shim
from lipsort_cli.data.downloaded import _PARTS
from lipsort_cli.errors import LipsortError, UsageError

RNG = np.random.default_rng(0)
GREY = ("EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "USPS")
ARRAYS = (*GREY, "CIFAR10", "CIFAR100", "STL10", "SVHN")


def config(name: str, root: Path, **options: Any) -> TorchvisionData:
    given = {"validation": 0.25, "download": False, "split": "balanced", "test": 0.2}
    return TorchvisionData(name=name, root=str(root), **{**given, **options})


def idx(path: Path, values: np.ndarray) -> None:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


def test_a_set_laid_out_as_torchvision_does(tmp_path: Path) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    images = RNG.integers(0, 256, (40, 28, 28))
    for split, count in (("train", 40), ("t10k", 20)):
        idx(raw / f"{split}-images-idx3-ubyte", images[:count])
        idx(raw / f"{split}-labels-idx1-ubyte", np.arange(count) % 10)
    data = load(config("KMNIST", tmp_path))
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 20)
    assert data.input_shape == (1, 28, 28) and data.classes == 10 and len(data.names) == 10
    expected = images[:20].astype(np.float32) / np.float32(255)
    assert np.array_equal(data.test.inputs[:, 0].numpy(), expected)
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03junk")
    with pytest.raises(LipsortError, match="KMNIST"):
        load(config("KMNIST", tmp_path))


def test_absent_sets_say_what_to_do(tmp_path: Path) -> None:
    for name in ("KMNIST", "SVHN", "CIFAR100", "STL10", "Flowers102"):
        with pytest.raises(LipsortError, match=rf"{name} is not under .* data\.root=FOLDER"):
            load(config(name, tmp_path))


def made(label: str) -> type:
    """What stands for the class ``label`` of torchvision: the same members, few pictures."""

    class Made:
        def __init__(self, root: str, download: bool, **arguments: Any) -> None:
            assert arguments in [
                {**part, **({"split": "balanced"} if label == "EMNIST" else {})}
                for part in _PARTS[label].values()
            ]
            self.classes = ["one", "two"]
            labels = torch.arange(12) % 2
            shape = {"STL10": (3, 96, 96), "SVHN": (3, 32, 32)}.get(label, (32, 32, 3))
            shape = (28, 28) if label in GREY else shape
            self._images = RNG.integers(0, 256, (12, *shape), dtype=np.uint8)
            if label in ARRAYS:
                self.data = self._images
            if label in ("SVHN", "STL10"):
                self.labels = labels.numpy()
            elif label == "QMNIST":
                self.targets = torch.stack([labels, labels + 7], dim=1)
            else:
                self.targets = labels.tolist()

        def __len__(self) -> int:
            return 12

        def __getitem__(self, row: int) -> tuple[Image.Image, int]:
            return Image.fromarray(self._images[row]), int(self.targets[row])

    return Made


@pytest.mark.parametrize("label", TORCHVISION)
def test_every_set_by_its_name(label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if label in ("MNIST", "FashionMNIST", "CIFAR10"):
        pytest.skip("read in full by test_image_sets.py")
    fake = SimpleNamespace(**{label: made(label)})
    monkeypatch.setattr(torchvision_shim, "import_torchvision", lambda _: fake)
    data = load(config(label, tmp_path))
    assert data.classes == 2 and data.names == ("one", "two") and data.bounds == (0.0, 1.0)
    parts = _PARTS[label]
    assert len(data.test) == (12 if "test" in parts else 2)
    assert len(data.validation) == (12 if "validation" in parts else 3 if "test" in parts else 2)
    channels = 1 if label in GREY else 3
    assert data.input_shape[0] == channels and data.input_shape[1] == data.input_shape[2]
    assert set(data.test.labels.tolist()) <= {0, 1}


def test_pictures_of_several_sizes_need_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mixed(made("Food101")):  # type: ignore[misc]
        def __getitem__(self, row: int) -> tuple[Image.Image, int]:
            image, target = super().__getitem__(row)
            return image.crop((0, 0, 20 + row, 32)), target

    fake = SimpleNamespace(Food101=Mixed)
    monkeypatch.setattr(torchvision_shim, "import_torchvision", lambda _: fake)
    with pytest.raises(UsageError, match=r"data\.size: Food101, picture 1, has 21x32 pixels"):
        load(config("Food101", tmp_path))
    assert load(config("Food101", tmp_path, size=8)).input_shape == (3, 8, 8)


def test_letters_count_from_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Letters(made("EMNIST")):  # type: ignore[misc]
        def __init__(self, root: str, **arguments: Any) -> None:
            super().__init__(root, **{**arguments, "split": "balanced"})
            self.classes = ["N/A", "a", "b"]
            self.targets = [target + 1 for target in self.targets]

    fake = SimpleNamespace(EMNIST=Letters)
    monkeypatch.setattr(torchvision_shim, "import_torchvision", lambda _: fake)
    data = load(config("EMNIST", tmp_path, split="letters"))
    assert data.names == ("a", "b") and set(data.test.labels.tolist()) == {0, 1}


def test_the_table_of_splits_is_whole() -> None:
    from lipsort_cli.data.torchvision_shim import import_torchvision

    found = import_torchvision("torchvision.datasets")
    assert set(_PARTS) == set(TORCHVISION)
    assert all(hasattr(found, name) for name in TORCHVISION)
