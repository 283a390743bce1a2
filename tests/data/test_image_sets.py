"""Image data sets and a user's arrays: splits, units, and a clear word for every damage."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lipsort_cli.config.train import Augmentation
from lipsort_cli.data import load
from lipsort_cli.data.augmentation import Augment
from lipsort_cli.errors import LipsortError, UsageError


def config(name: str, **options: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"name": name, "validation": 0.1, "download": False, **options})


def arrays(**changes: Any) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    made: dict[str, Any] = {
        "x_train": generator.random((20, 3)),
        "y_train": np.arange(20) % 2,
        "x_test": generator.random((6, 3)),
        "y_test": np.arange(6) % 2,
    }
    return {**made, **changes}


def test_digits() -> None:
    data = load(config("digits"))
    assert (len(data.train), len(data.validation), len(data.test)) == (1293, 144, 360)
    assert data.input_shape == (1, 8, 8)
    assert data.classes == 10
    assert float(data.test.inputs.max()) == 1.0
    assert data.test.labels.bincount().min() >= 34  # stratified
    again = load(config("digits"))
    assert data.fingerprint == again.fingerprint


def test_validation_is_held_out_of_training() -> None:
    whole = load(config("digits", validation=0.0))
    data = load(config("digits", validation=0.25))
    assert len(whole.validation) == 0
    assert len(data.train) + len(data.validation) == len(whole.train)
    both = torch.cat([data.train.inputs, data.validation.inputs]).flatten(1)
    assert sorted(map(tuple, both.tolist())) == sorted(
        map(tuple, whole.train.inputs.flatten(1).tolist())
    )
    assert torch.equal(data.test.inputs, whole.test.inputs)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_files(name: str, image_data: Path) -> None:
    data = load(config(name, root=str(image_data)))
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.input_shape == (1, 28, 28)
    # Every pixel is the float32 nearest to k / 255.
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    assert set(np.unique(data.test.inputs.numpy())) <= set(levels)


def test_missing_files_say_what_to_do(tmp_path: Path) -> None:
    for name in ("mnist", "fashion_mnist", "cifar10"):
        with pytest.raises(LipsortError, match=r"data\.root=FOLDER or the variable LIPSORT_DATA"):
            load(config(name, root=str(tmp_path)))


def test_a_truncated_file_is_named_damaged(tmp_path: Path, image_data: Path) -> None:
    shutil.copytree(image_data / "MNIST", tmp_path / "MNIST")
    for path in (tmp_path / "MNIST" / "raw").iterdir():
        path.chmod(0o644)
    (tmp_path / "MNIST" / "raw").chmod(0o755)
    images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:100_000])
    with pytest.raises(
        LipsortError, match="train-images-idx3-ubyte is damaged: found 100000 bytes"
    ):
        load(config("mnist", root=str(tmp_path)))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_are_checked_before_they_are_read(name: str, tmp_path: Path) -> None:
    raw = tmp_path / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name] / "raw"
    raw.mkdir(parents=True)
    labels = raw / "train-labels-idx1-ubyte"
    header = bytes((0, 0, 8, 1)) + (60_000).to_bytes(4, "big")
    labels.write_bytes(header + bytes(59_999))
    fault = "found 60007 bytes, expected 60008; replace this file"
    with pytest.raises(LipsortError, match=f"train-labels-idx1-ubyte is damaged: {fault}"):
        load(config(name, root=str(tmp_path)))
    labels.write_bytes(bytes(60_008))
    with pytest.raises(LipsortError, match="train-labels-idx1-ubyte is damaged: .* header"):
        load(config(name, root=str(tmp_path)))
    labels.write_bytes(header + bytes(60_000))
    with pytest.raises(LipsortError, match="is not under"):  # nothing wrong with what is there
        load(config(name, root=str(tmp_path)))


def write_cifar(folder: Path) -> None:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        records = generator.integers(0, 256, (10_000, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / f"{name}.bin")


def test_cifar_binary_distribution(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    write_cifar(folder)
    data = load(config("cifar10", root=str(tmp_path), validation=0.0))
    assert (len(data.train), len(data.test)) == (50_000, 10_000)
    first = np.fromfile(folder / "test_batch.bin", dtype=np.uint8)[:3073]
    assert int(data.test.labels[0]) == first[0]
    # Red plane first, row by row.
    assert data.test.inputs[0, 0, 0, 1] == np.float32(first[2]) / np.float32(255)
    with (folder / "data_batch_3.bin").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(LipsortError, match=r"data_batch_3\.bin is damaged: found 1000 bytes"):
        load(config("cifar10", root=str(tmp_path)))


def test_npz_round_trip(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays())
    data = load(config("npz", path=str(tmp_path / "mine.npz")))
    assert data.name == "mine"
    assert data.classes == 2
    assert data.bounds == (0.0, 1.0)
    assert data.train.inputs.dtype == torch.float32
    np.savez(tmp_path / "wide.npz", **arrays(x_train=arrays()["x_train"] * 9 - 4))
    assert load(config("npz", path=str(tmp_path / "wide.npz"))).bounds is None


def test_npz_pixels_are_scaled(tmp_path: Path) -> None:
    images = np.full((4, 2, 2), 51, np.uint8)
    np.savez(
        tmp_path / "a.npz", x_train=images, y_train=[0, 1, 0, 1], x_test=images, y_test=[0, 1, 0, 1]
    )
    data = load(config("npz", path=str(tmp_path / "a.npz")))
    assert data.test.inputs.unique().tolist() == pytest.approx([0.2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.full((20, 3), np.nan)}, "x_train: found 60 values that are NaN"),
        ({"x_test": np.ones((6, 4))}, "they must agree"),
        ({"x_train": np.float32(3)}, r"x_train: found shape \(\)"),
        ({"x_test": np.float32(3)}, r"x_test: found shape \(\)"),
        ({"y_test": np.int64(1)}, r"y_test: found shape \(\); needed is"),
        ({"y_train": np.arange(19) % 2}, r"y_train: found shape \(19,\); needed is \[20\]"),
        ({"y_train": np.arange(20) / 2}, "needed are integers"),
        ({"y_test": np.array([0, 1, 0, 1, 0, -1])}, "found label -1"),
        ({"x_train": np.ones(20)}, r"needed is \[N, \.\.\.\]"),
        ({"x_train": np.zeros((0, 3)), "y_train": np.zeros(0, int)}, "nothing empty"),
        ({"x_train": np.array([["a", "b", "c"]] * 20)}, "allowed are floats and uint8"),
        ({"x_train": np.full((20, 3), 1e300)}, "beyond float32"),
        (
            {"y_train": np.zeros(20, int), "y_test": np.zeros(6, int)},
            r"bad\.npz: y_train: found 1 class \(label 0\); .* at least 2",
        ),
        ({"y_train": np.arange(20) * 100_000}, "y_train: found label 1900000; allowed are 0 to"),
        ({"y_test": np.arange(6, dtype=np.uint64) + 2**63}, "y_test: found label 92233"),
        ({"y_train": np.arange(20) % 2 * 3}, "labels up to 3 without labels 1, 2; number the 2"),
        ({"y_test": np.arange(6)}, "y_test: found labels 2, 3, 4, 5, which y_train has no"),
    ],
)
def test_npz_faults_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays(**changes))
    with pytest.raises(UsageError, match=message):
        load(config("npz", path=str(path)))


def test_npz_pixels_of_one_split_in_another_unit_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks, images = np.arange(96).reshape(4, 1, 4, 6) % 2, np.arange(96).reshape(4, 1, 4, 6)
    for name, x in (("one", masks), ("other", images)):
        given = {"x_train": x.astype(np.uint8), "x_test": images.astype(np.uint8)}
        np.savez(tmp_path / f"{name}.npz", **given, y_train=[0, 1, 0, 1], y_test=[0, 1, 0, 1])
        load(config("npz", path=str(tmp_path / f"{name}.npz")))
        assert ("are both in one unit?" in capsys.readouterr().err) == (name == "one")


def test_npz_reports_all_faults_together(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays(x_train=np.full((20, 3), np.nan), y_test=np.zeros(2) + 0.5))
    with pytest.raises(LipsortError) as caught:
        load(config("npz", path=str(path)))
    for part in ("x_train", "y_test: found shape", "needed are integers"):
        assert part in str(caught.value)


def test_npz_without_labels_is_for_generators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only where both are missing: one alone is a slip."""
    given = {key: value for key, value in arrays().items() if key.startswith("x")}
    np.savez(tmp_path / "points.npz", **given)
    data = load(config("npz", path=str(tmp_path / "points.npz")))
    assert data.classes == 1 and "for a generator alone" in capsys.readouterr().out
    np.savez(tmp_path / "slip.npz", **given, y_train=arrays()["y_train"])
    with pytest.raises(UsageError, match="missing y_test"):
        load(config("npz", path=str(tmp_path / "slip.npz")))


def test_npz_missing_foreign_and_pickled_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load(config("npz", path=str(tmp_path / "none.npz")))
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UsageError, match="data.path: found .*, which is no .npz file"):
        load(config("npz", path=str(tmp_path / "text.npz")))
    np.savez(tmp_path / "few.npz", x_train=np.ones((2, 2)))
    with pytest.raises(UsageError, match="missing y_train, x_test, y_test"):
        load(config("npz", path=str(tmp_path / "few.npz")))
    objects = np.array([{"code": 1}, 2], dtype=object)
    np.savez(tmp_path / "objects.npz", **{**arrays(), "x_train": objects})
    with pytest.raises(UsageError, match="Python objects, which are never loaded"):
        load(config("npz", path=str(tmp_path / "objects.npz")))


def test_too_large_a_validation_share_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.validation"):
        load(config("digits", validation=0.9999))


def amplitudes(**options: float) -> Augmentation:
    return Augmentation(**options)


@pytest.mark.parametrize("option", ["shift", "rotation", "zoom", "shear"])
def test_each_amplitude_moves_images(option: str) -> None:
    images = torch.rand(4, 1, 8, 8)
    value = {"shift": 2.0, "rotation": 30.0, "zoom": 0.3, "shear": 0.3}[option]
    augment = Augment(amplitudes(**{option: value}), (1, 8, 8))
    moved = augment(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert not torch.allclose(moved, images, atol=1e-3)
    again = augment(images, torch.Generator().manual_seed(0))
    assert torch.equal(moved, again)


def test_no_amplitude_leaves_images_alone() -> None:
    images = torch.rand(4, 1, 8, 8)
    assert Augment(amplitudes(), (1, 8, 8))(images, torch.Generator()) is images


def test_a_shift_is_in_pixels() -> None:
    images = torch.zeros(200, 1, 9, 9)
    images[:, 0, 4, 4] = 1.0
    moved = Augment(amplitudes(shift=2.0), (1, 9, 9))(images, torch.Generator().manual_seed(0))
    rows = torch.arange(9.0).view(1, 9, 1)
    centre = (moved[:, 0] * rows).sum((1, 2)) / moved[:, 0].sum((1, 2))
    offset = (centre - 4).abs().max()
    assert 1.5 < float(offset) <= 2.01


def test_only_images_can_be_moved() -> None:
    with pytest.raises(UsageError, match="augmentation"):
        Augment(amplitudes(shift=1.0), (64,))


def test_torchvision_imports_beside_the_cpu_build() -> None:
    code = (
        "from lipsort_cli.data.torchvision_shim import import_torchvision as t;"
        "print(t('torchvision.datasets').MNIST.__name__, t().transforms.ToTensor.__name__)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["MNIST", "ToTensor"]
