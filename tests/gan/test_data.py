"""Data sets of generators: toy sets of the plane, and folders of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lipsort_cli.config.data import PATTERNS, FolderData, ToyData
from lipsort_cli.data import Dataset, load
from lipsort_cli.data.toy import SETS
from lipsort_cli.errors import LipsortError, UsageError


def toy(pattern: str, **values: float) -> Dataset:
    return load(ToyData(pattern=pattern, **values))  # type: ignore[arg-type]


def test_every_pattern_is_there() -> None:
    assert set(PATTERNS) == set(SETS)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_toy_sets_are_the_same_every_time(pattern: str) -> None:
    np.random.seed(1)
    torch.manual_seed(1)
    first = toy(pattern, points=300)
    torch.manual_seed(2)
    assert first.fingerprint == toy(pattern, points=300).fingerprint
    assert first.fingerprint != toy(pattern, points=300, noise=0.2).fingerprint
    assert (len(first.train), len(first.validation), len(first.test)) == (270, 30, 75)
    assert first.input_shape == (2,)
    every = torch.cat([first.train.labels, first.test.labels])
    assert set(every.tolist()) == set(range(first.classes))


def _direction(angle: torch.Tensor) -> torch.Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


GEOMETRY: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    # What is 0 for points on the pattern.
    "eight_gaussians": lambda x, y: x.norm(dim=1) - 2,
    "grid_gaussians": lambda x, y: (x - x.round()).norm(dim=1),
    "rings": lambda x, y: x.norm(dim=1) - (0.5 + 0.75 * y),
    "checkerboard": lambda x, y: (x + 2).floor().sum(1) % 2,
    # The angle grows by 4.5 pi / 2 for each unit of the radius.
    "swiss_roll": lambda x, y: (
        x - x.norm(dim=1, keepdim=True) * _direction(x.norm(dim=1) * 2.25 * torch.pi)
    ).norm(dim=1),
    "moons": lambda x, y: (x - torch.stack([y - 0.5, (y - 0.5) / 2], 1)).norm(dim=1) - 1,
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_points_without_noise_lie_on_the_pattern(pattern: str) -> None:
    data = toy(pattern, points=500, noise=0.0).train
    off = GEOMETRY[pattern](data.inputs, data.labels.float())
    assert off.abs().max() < 1e-5
    noisy = toy(pattern, points=500, noise=0.3).train
    assert GEOMETRY[pattern](noisy.inputs, noisy.labels.float()).abs().max() > 0.1


def images(folder: Path, count: int, size: tuple[int, int] = (6, 5), mode: str = "L") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        colour = 10 * i if mode == "L" else (10 * i, 0, 255)
        Image.new(mode, size, colour).save(folder / f"{i:02d}.png")


def folder_of(path: Path, **values: object) -> Dataset:
    return load(FolderData(path=str(path), validation=0.0, **values))  # type: ignore[arg-type]


def test_a_flat_folder_is_one_class(tmp_path: Path) -> None:
    images(tmp_path / "flat", 20)
    (tmp_path / "flat" / "readme.txt").write_text("no image")
    data = folder_of(tmp_path / "flat")
    assert (len(data.train), len(data.test), data.classes) == (18, 2, 1)
    assert data.input_shape == (1, 5, 6)
    values = torch.cat([data.train.inputs, data.test.inputs])[:, 0, 0, 0].sort().values
    assert torch.equal(values, (torch.arange(20) * 10).float() / 255)
    assert data.fingerprint == folder_of(tmp_path / "flat").fingerprint
    assert len(folder_of(tmp_path / "flat", test=0.5).test) == 10


def test_a_class_that_is_held_out_whole_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        images(tmp_path / "few" / name, 1)
    with pytest.raises(UsageError, match="few has no training example of [ab]; add pictures"):
        folder_of(tmp_path / "few")


def test_subfolders_are_classes_and_train_and_test_are_splits(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        for name in ("b", "a"):
            images(tmp_path / "split" / split / name, count, mode="RGB")
    data = folder_of(tmp_path / "split")
    assert (len(data.train), len(data.test), data.classes) == (8, 4, 2)
    assert data.input_shape == (3, 5, 6)
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4
    classes = folder_of(tmp_path / "split" / "train")
    assert (len(classes.train) + len(classes.test), classes.classes) == (8, 2)


def test_images_are_cut_scaled_and_coloured_as_asked(tmp_path: Path) -> None:
    images(tmp_path / "x", 3)
    Image.new("RGB", (9, 20), (255, 0, 0)).save(tmp_path / "x" / "odd.png")
    with pytest.raises(UsageError, match=r"data\.size: .*odd\.png has 9x20 pixels.* 6x5"):
        folder_of(tmp_path / "x")
    # One picture in colour is enough: what comes first by name would drop its colours.
    assert folder_of(tmp_path / "x", size=4).input_shape == (3, 4, 4)
    assert folder_of(tmp_path / "x", size=4, colour="rgb").input_shape == (3, 4, 4)
    assert folder_of(tmp_path / "x", size=4, colour="grey").input_shape == (1, 4, 4)


def test_what_is_no_folder_of_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.path: .*does not exist"):
        folder_of(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no images"):
        folder_of(tmp_path / "empty")
    images(tmp_path / "one", 1)
    with pytest.raises(UsageError, match="at least 2"):
        folder_of(tmp_path / "one")
    images(tmp_path / "bad", 3)
    (tmp_path / "bad" / "00.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    with pytest.raises(LipsortError, match=r"00\.png: not a readable image"):
        folder_of(tmp_path / "bad")
    images(tmp_path / "two" / "train" / "a", 2)
    images(tmp_path / "two" / "test" / "b", 2)
    with pytest.raises(UsageError, match="must agree"):
        folder_of(tmp_path / "two")


def test_a_classifier_needs_classes(tmp_path: Path) -> None:
    from lipsort_cli.commands.train import run

    images(tmp_path / "flat", 5)
    config = SimpleNamespace(
        device="cpu", data=FolderData(path=str(tmp_path / "flat"), validation=0.0)
    )
    with pytest.raises(UsageError, match="one class"):
        run(config, tmp_path / "run")
