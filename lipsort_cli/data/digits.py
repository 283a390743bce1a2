"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with the package."""

from __future__ import annotations

from typing import Any

import torch

from lipsort_cli.data.dataset import Dataset, Split, make_dataset


def load_digits(config: Any) -> Dataset:
    """1,437 training and 360 test images [1, 8, 8], pixels k/16 in [0, 1], stratified by class."""
    from sklearn.datasets import load_digits as embedded
    from sklearn.model_selection import train_test_split

    images, labels = embedded(return_X_y=True)
    inputs = torch.from_numpy(images).to(torch.float32).div(16).reshape(-1, 1, 8, 8)
    targets = torch.from_numpy(labels).to(torch.int64)
    train, test = train_test_split(
        range(len(targets)), test_size=360, random_state=0, stratify=labels
    )
    return make_dataset(
        "digits",
        Split(inputs[train], targets[train]),
        Split(inputs[test].contiguous(), targets[test].contiguous()),
        validation=config.validation,
        bounds=(0.0, 1.0),
        classes=10,
    )
