"""From a configuration to a data set in memory."""

from __future__ import annotations

from typing import Any

from lipsort_cli.config.data import Subset
from lipsort_cli.config.registry import Option, resolve
from lipsort_cli.config.schema import option_of
from lipsort_cli.data.dataset import Dataset, balanced


def load(config: Option) -> Dataset:
    """The data set of the configuration group ``data``, or a balanced part of it.

    Raises:
        UsageError: a class has fewer examples than ``data.train_per_class``.
        LipsortError: it is missing, cannot be downloaded, or is damaged; the message says what to
            do.
    """
    kind: Any = option_of("data", config.name)
    make = getattr(config, "make", None) or (lambda: resolve(kind.loader)(config))
    dataset: Dataset = make()
    if not isinstance(config, Subset) or config.train_per_class is None:
        return dataset
    return balanced(dataset, config.train_per_class, config.subset_seed)
