"""The digits without scikit-learn: its own data and split."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits as embedded
from sklearn.model_selection import train_test_split

from lipsort_cli.config.data import DigitsData
from lipsort_cli.data.digits import load_digits


def test_images_labels_and_split_are_scikit_learns() -> None:
    images, labels = embedded(return_X_y=True)
    train, test = train_test_split(range(1797), test_size=360, random_state=0, stratify=labels)
    found = load_digits(DigitsData(validation=0.0))
    for split, positions in ((found.train, train), (found.test, test)):
        expected = torch.from_numpy(images[positions]).float().div(16).reshape(-1, 1, 8, 8)
        assert torch.equal(split.inputs, expected)
        assert torch.equal(split.labels, torch.from_numpy(labels[positions]))
