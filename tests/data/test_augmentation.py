"""Random changes of training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import train

from lipsort_cli.commands.train import build_task
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.train import Augmentation
from lipsort_cli.config.typed import to_typed
from lipsort_cli.data import load
from lipsort_cli.data.augmentation import Augment
from lipsort_cli.errors import UsageError

STILL = vars(Augmentation())
SHAPE = (2, 6, 5)


def augmented(images: torch.Tensor, seed: int = 0, **changes: object) -> torch.Tensor:
    augment = Augment(Augmentation(**{**STILL, **changes}), tuple(images.shape[1:]))
    return augment(images, torch.Generator().manual_seed(seed))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(1)) + 0.1


def test_nothing_asked_for_changes_nothing(images: torch.Tensor) -> None:
    assert augmented(images) is images


def test_a_flip_mirrors_about_half_of_the_images(images: torch.Tensor) -> None:
    flipped = augmented(images, flip=True)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    same = (flipped == images).flatten(1).all(1)
    assert bool((mirrored ^ same).all())
    assert 16 < int(mirrored.sum()) < 48


def test_a_crop_shifts_by_whole_pixels_and_fills_with_zeros(images: torch.Tensor) -> None:
    cropped = augmented(images, crop=2)
    padded = torch.nn.functional.pad(images, [2] * 4)
    seen = set()
    for one, around in zip(cropped, padded, strict=True):
        found = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(one, around[:, y : y + 6, x : x + 5])
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 12


def test_an_elastic_deformation_moves_each_pixel_a_little_and_neighbours_alike() -> None:
    # An image whose values are its coordinates shows where each pixel came from.
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    images = torch.stack([y, x]).expand(32, 2, 28, 28)
    moved = (augmented(images, elastic=2.0) - images)[..., 3:-3, 3:-3]
    assert 1.5 < float(moved.abs().max()) <= 2.0 + 1e-4
    assert abs(float(moved.mean())) < 0.2
    # Between knots 27 / 4 pixels apart that move up to 2 to either side.
    assert float(moved.diff(dim=2).abs().max()) < 4 / 6.5
    assert float(moved.std(dim=(2, 3)).min()) > 0.1


def test_the_nearest_pixel_makes_no_new_level() -> None:
    images = (torch.rand(16, 1, 28, 28) < 0.3).float()
    moves = {"shift": 0.7, "rotation": 5.0, "zoom": 0.05, "shear": 0.1, "elastic": 1.0}
    nearest = augmented(images, sampling="nearest", **moves)
    assert set(nearest.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(nearest, images)
    smoothed = augmented(images, **moves)
    assert len(smoothed.unique()) > 100
    # The same moves: each pixel came from one of the four that bilinear sampling mixes.
    assert bool(((nearest == 1) | (smoothed < 1 - 1e-4)).all())


@pytest.mark.parametrize("change", [{"shift": 1.0}, {"elastic": 1.0}, {"crop": 1}, {"flip": True}])
def test_the_generator_decides(images: torch.Tensor, change: dict[str, object]) -> None:
    assert torch.equal(augmented(images, 3, **change), augmented(images, 3, **change))
    assert not torch.equal(augmented(images, 3, **change), augmented(images, 4, **change))


def test_plain_images_are_mirrored_at_most(images: torch.Tensor) -> None:
    moves = {"shift": 1.0, "elastic": 1.0, "crop": 2, "flip": True, "plain": 0.5}
    augment = Augment(Augmentation(**{**STILL, **moves}), SHAPE)
    plain = augment(images, torch.Generator().manual_seed(5), moved=False)
    assert torch.equal(plain, augmented(images, 5, flip=True))
    assert not torch.equal(plain, augmented(images, 5, **moves))


def test_the_last_epochs_of_a_run_are_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    call = Augment.__call__

    def noted(self: Augment, *arguments: Any, moved: bool) -> torch.Tensor:
        asked.append(moved)
        return call(self, *arguments, moved=moved)

    monkeypatch.setattr(Augment, "__call__", noted)
    train(
        "model.widths=[8]", "training.epochs=5", "training.batch_size=700", "threads=1",
        "evaluation.attack.points=0", "augmentation.crop=1", "augmentation.plain=0.4",
        f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    epoch = len(asked) // 5
    assert epoch > 1 and asked == [True] * (3 * epoch) + [False] * (2 * epoch)


@pytest.mark.parametrize(("epochs", "plain", "expected"), [
    (40, 0.25, 10), (1, 0.25, 0), (5, 0.99, 4), (10, 0.0, 0),
])  # fmt: skip
def test_how_many_epochs_are_plain(epochs: int, plain: float, expected: int) -> None:
    words = [f"training.epochs={epochs}", "augmentation.crop=1", f"augmentation.plain={plain}"]
    with Composer("train") as composer:
        config = to_typed(composer.compose(words), "train")
    task = build_task(config, load(config.data), torch.device("cpu"))
    assert task.plain_epochs == expected


def test_plain_epochs_of_nothing_that_moves_are_refused() -> None:
    with pytest.raises(UsageError, match=r"augmentation.plain: found 0.5 with nothing that moves"):
        train("augmentation.flip=true", "augmentation.plain=0.5")


def test_points_that_are_no_images_are_refused() -> None:
    with pytest.raises(UsageError, match="only images"):
        augmented(torch.rand(4, 7), flip=True)
