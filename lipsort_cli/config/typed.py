"""From a composed configuration to an instance of the command's dataclass; its paths settled."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli.config import catalog, plugins, validate
from lipsort_cli.config.registry import option_of
from lipsort_cli.config.schema import COMMANDS, GROUPS
from lipsort_cli.errors import Fault, UsageError, first_line
from lipsort_cli.files import resolved


def usage_error(faults: list[str]) -> UsageError:
    """One error for all faults, each on its own line."""
    known = tuple(f.instead for f in faults if isinstance(f, Fault) and f.instead is not None)
    instead = known if len(known) == len(faults) else ()
    if len(faults) == 1:
        return UsageError(str(faults[0]), instead)
    lines = [f"the configuration has {len(faults)} faults:", *(f"  {fault}" for fault in faults)]
    return UsageError("\n".join(lines), instead)


def to_typed(config: DictConfig, command: str) -> Any:
    """The instance of the command's dataclass that ``config`` describes, checked and resolved.

    Raises:
        UsageError: all faults together.
    """
    typed, faults = _convert(config, command)
    if faults:
        raise usage_error(faults)
    return typed


def faults_of(config: DictConfig, command: str) -> list[str]:
    """All faults of a composed configuration; empty for a sound one."""
    return _convert(config, command)[1]


def from_plain(values: Any, command: str) -> DictConfig:
    """Type a configuration that was saved as plain YAML by the schema of its command.

    Each group's node is typed by the dataclass of the option that its ``name`` names.

    Raises:
        UsageError: it does not fit the schema.
    """
    if not isinstance(values, dict | DictConfig):
        raise UsageError(f"not a configuration of `lipsort {command}`: found {values!r:.60}")
    plugins.load(values.get("plugins"))
    try:
        plain = values if isinstance(values, DictConfig) else OmegaConf.create(values)
        typed = OmegaConf.structured(COMMANDS[command].config)
        for group in GROUPS:
            node = plain.get(group) if isinstance(plain, DictConfig) else None
            kind = option_of(group, str(node.get("name"))) if isinstance(node, DictConfig) else None
            if kind is not None:
                typed[group] = OmegaConf.structured(kind)
        merged = OmegaConf.merge(typed, plain)
    except OmegaConfBaseException as error:
        raise UsageError(
            f"not a configuration of `lipsort {command}`: {first_line(error)}"
        ) from error
    assert isinstance(merged, DictConfig)
    return merged


def _convert(config: DictConfig, command: str) -> tuple[Any, list[str]]:
    own = without_hydra(config)
    expected = COMMANDS[command].config
    if OmegaConf.get_type(own) is not expected:
        name = COMMANDS[command].key
        return None, [
            f"the primary configuration is not typed; let its defaults list start with "
            f"schema/command/{name}@_here_, as conf/{name}.yaml does"
        ]
    faults = list(_unknown(own, ""))
    if faults:
        return None, faults
    for parent, child, name, key in list(single_values(own)):
        if child._is_missing():
            faults.append(_missing_fault(parent, name, key, command))
            _fill(parent, name)
        elif child._is_interpolation():
            try:
                parent[name]
            except OmegaConfBaseException as error:
                cause = first_line(error.__cause__ or error)
                faults.append(f"{key}: found {child._value()}; {cause}")
                _fill(parent, name)
    try:
        OmegaConf.resolve(own)
        typed = OmegaConf.to_object(own)
    except OmegaConfBaseException as error:
        return None, [*faults, f"{error.full_key or 'configuration'}: {first_line(error)}"]
    return typed, faults + validate.faults(typed)


def without_hydra(config: DictConfig) -> DictConfig:
    """A copy without Hydra's node, which is as large as all others: it is not copied first."""
    hydra = config._get_node("hydra", validate_access=False)
    own = copy.deepcopy(config, {} if hydra is None else {id(hydra): OmegaConf.create()})
    with flag_override(own, ["readonly", "struct"], [False, False]):
        own.pop("hydra", None)
    return own


def _unknown(node: DictConfig, prefix: str) -> Iterator[str]:
    """Keys that ``+key=value`` put where no field is, and fields that ``~key`` took away."""
    kind = OmegaConf.get_type(node)
    if not is_dataclass(kind):
        return
    names = [entry.name for entry in fields(kind)]
    for key in map(str, node):
        if key not in names:
            yield f"{prefix}{key}: no such key; keys of {prefix[:-1] or 'the configuration'}: " + (
                ", ".join(names)
            )
            continue
        child = node._get_node(key)
        if isinstance(child, DictConfig) and isinstance(child._content, dict):
            yield from _unknown(child, f"{prefix}{key}.")
    for name in names:
        if name not in node.keys():  # noqa: SIM118 -- `in node` is False for missing values
            yield f"{prefix}{name}: removed, but required"


def single_values(node: DictConfig, prefix: str = "") -> Iterator[tuple[DictConfig, Any, str, str]]:
    """Parent, OmegaConf node, name and whole key of every single value; resolves nothing."""
    for name in map(str, node.keys()):
        child = node._get_node(name)
        if isinstance(child, DictConfig) and isinstance(child._content, dict):
            yield from single_values(child, f"{prefix}{name}.")
        elif child is not None:
            yield node, child, name, f"{prefix}{name}"


def field_of(parent: DictConfig, name: str) -> Any:
    """The dataclass field behind a key of ``parent``; None where no dataclass is its type."""
    kind = OmegaConf.get_type(parent)
    entries = fields(kind) if is_dataclass(kind) else ()
    return next((entry for entry in entries if entry.name == name), None)


def _missing_fault(parent: DictConfig, name: str, key: str, command: str) -> str:
    if key in GROUPS:
        options = ", ".join(catalog.group_options(key, command))
        return f"{key}: required, and not given; add {key}=OPTION, one of {options}"
    entry = field_of(parent, name)
    said = entry.metadata.get("help") if entry is not None else ""
    what = f" ({said})" if said else ""
    return f"{key}: required, and not given{what}; add {key}=VALUE"


def _fill(parent: DictConfig, name: str) -> None:
    """Stand something in for a missing value, so that the others can be checked too."""
    for stand_in in (None, "missing", 1):
        try:
            parent[name] = stand_in
        except OmegaConfBaseException:
            continue
        return


def settle_paths(config: DictConfig, base: Path) -> None:
    """Make every option that is a path absolute, as seen from the folder ``base``.

    What it refers to, such as an environment variable, is looked up now; a value that cannot be
    looked up is left to the checks that name it.

    Raises:
        UsageError: a path starts with ``~name``, and nobody has that name.
    """
    for parent, _, name, _ in list(single_values(config)):
        entry = field_of(parent, name)
        if entry is None or not entry.metadata.get("path") or OmegaConf.is_missing(parent, name):
            continue
        try:
            value = parent[name]
        except OmegaConfBaseException:
            continue
        if isinstance(value, str) and value:
            with flag_override(parent, "readonly", False):
                parent[name] = str(base / resolved(value))
