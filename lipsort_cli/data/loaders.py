"""From a configuration to a data set in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipsort_cli.config.data import TORCHVISION
from lipsort_cli.data.dataset import Dataset, balanced
from lipsort_cli.data.digits import load_digits
from lipsort_cli.data.downloaded import load_downloaded
from lipsort_cli.data.folder import load_folder
from lipsort_cli.data.npz import load_npz
from lipsort_cli.data.tabular import load_table
from lipsort_cli.data.toy import load_toy

LOADERS: dict[str, Callable[[Any], Dataset]] = {
    "digits": load_digits,
    "mnist": load_downloaded,
    "fashion_mnist": load_downloaded,
    "cifar10": load_downloaded,
    "npz": load_npz,
    "table": load_table,
    "toy": load_toy,
    "folder": load_folder,
    **dict.fromkeys(TORCHVISION, load_downloaded),
}


def load(config: Any) -> Dataset:
    """The data set of the configuration group ``data``, or a balanced part of it.

    Raises:
        UsageError: a class has fewer examples than ``data.train_per_class``.
        LipsortError: it is missing, cannot be downloaded, or is damaged; the message says what to
            do.
    """
    dataset = LOADERS[config.name](config)
    count = getattr(config, "train_per_class", None)
    return dataset if count is None else balanced(dataset, count, config.subset_seed)
