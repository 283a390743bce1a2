"""Paths of a configuration, made to mean the same from wherever a run is gone on with."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli.files import resolved


def settle_paths(config: DictConfig, base: Path) -> None:
    """Make every option that is a path absolute, as seen from the folder ``base``.

    What it refers to, such as an environment variable, is looked up now; a value that cannot be
    looked up is left to the checks that name it.

    Raises:
        UsageError: a path starts with ``~name``, and nobody has that name.
    """
    kind = OmegaConf.get_type(config)
    paths = (
        {entry.name for entry in fields(kind) if entry.metadata.get("path")}
        if is_dataclass(kind)
        else set()
    )
    for name in map(str, config.keys()):
        child = config._get_node(name)
        if isinstance(child, DictConfig) and isinstance(child._content, dict):
            settle_paths(child, base)
        elif name in paths and not OmegaConf.is_missing(config, name):
            try:
                value = config[name]
            except OmegaConfBaseException:
                continue
            if isinstance(value, str) and value:
                with flag_override(config, "readonly", False):
                    config[name] = str(base / resolved(value))
