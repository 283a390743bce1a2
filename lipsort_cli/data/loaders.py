"""From a configuration to a data set in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lipsort_cli.data.dataset import Dataset
from lipsort_cli.data.digits import load_digits
from lipsort_cli.data.downloaded import load_downloaded
from lipsort_cli.data.npz import load_npz

LOADERS: dict[str, Callable[[Any], Dataset]] = {
    "digits": load_digits,
    "mnist": load_downloaded,
    "fashion_mnist": load_downloaded,
    "cifar10": load_downloaded,
    "npz": load_npz,
}


def load(config: Any) -> Dataset:
    """The data set of the configuration group ``data``.

    Raises:
        LipsortError: it is missing, cannot be downloaded, or is damaged; the message says what to
            do.
    """
    return LOADERS[config.name](config)
