"""From a configuration to a data set in memory."""

from __future__ import annotations

from typing import Any

from lipsort_cli.config.registry import resolve
from lipsort_cli.config.schema import option_of
from lipsort_cli.data.dataset import Dataset, balanced


def load(config: Any) -> Dataset:
    """The data set of the configuration group ``data``, or a balanced part of it.

    Raises:
        UsageError: a class has fewer examples than ``data.train_per_class``.
        LipsortError: it is missing, cannot be downloaded, or is damaged; the message says what to
            do.
    """
    kind: Any = option_of("data", config.name)
    dataset: Dataset = resolve(kind.loader)(config)
    count = getattr(config, "train_per_class", None)
    return dataset if count is None else balanced(dataset, count, config.subset_seed)
