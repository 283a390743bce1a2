"""What is wrong with one override: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import fields
from os.path import isdir
from pathlib import PurePath
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from lipsort_cli.config import catalog
from lipsort_cli.config.meant import alike, keys_like
from lipsort_cli.config.schema import COMMANDS, GROUPS
from lipsort_cli.config.typed import field_of, single_values
from lipsort_cli.config.validate import allowed
from lipsort_cli.errors import Fault, first_line
from lipsort_cli.files import resolved
from lipsort_cli.quoting import word

_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}

_EXTRAS = {"hydra/launcher": "more come with the extra: pip install 'lipsort[launchers]'"}


def explain_override(
    override: Override,
    value: str,
    error: Exception,
    base: DictConfig | None,
    loader: Any,
    command: str,
) -> str:
    """One line on an override that does not compose with ``base``, the overrides before it."""
    key = override.key_or_group
    if is_group(key, loader):
        if elsewhere := _elsewhere(key, base):
            return elsewhere
        options = loader.get_group_options(key, results_filter=ObjectType.CONFIG)
        # Hydra lists one folder only; presets lie in folders of the group as well.
        if value in (*options, *catalog.group_options(key)):
            return _unpackaged(key, value, loader) or _unfit(key, value, error)
        own = [option for option in options if option not in catalog.group_options(key)]
        return _bad_option(key, value, sorted([*own, *catalog.group_options(key, command)]))
    found = _find(base, key) if base is not None else None
    if found is None:
        return _keyless(key, error, base, command)
    parent, last, path = found
    if last not in parent.keys():  # noqa: SIM118 -- `in parent` is False for missing values
        assert base is not None
        return _unknown_key(override, last, parent, path, base, command)
    if override.is_add() and not override.is_force_add():
        words = f"{key}: found +, which adds a key, and this one is there; allowed: {key}=VALUE"
        return Fault(words, (override.input_line or "", [f"{key}={value}"]))
    if override.is_delete():
        return (
            f"{key}: found ~, which takes a key away, and this one cannot lack; allowed: leave it "
            f"out, for its default, or {key}=VALUE"
        )
    entry = field_of(parent, last)
    if isinstance(parent._get_node(last), DictConfig) and not value.startswith("{"):
        keys = ", ".join(map(str, parent[last]))
        return f"{key}: found {value}; it is a node with the keys {keys}: set {key}.KEY=VALUE"
    if entry is None:
        return f"{key}: found {value}; {first_line(error)}"
    return f"{key}: found {value}; allowed: {describe(entry, OmegaConf.get_type(parent))}"


def is_group(key: str, loader: Any) -> bool:
    """Whether ``key`` names a configuration group, and not a value."""
    return bool(loader.get_group_options(key, results_filter=ObjectType.CONFIG))


def describe(entry: Any, owner: Any) -> str:
    """The values that a dataclass field allows, in words."""
    hint = typing.get_type_hints(owner)[entry.name]
    metadata = entry.metadata
    if metadata.get("choices"):
        several = typing.get_origin(hint) is list
        names = ", ".join(metadata["choices"])
        return f"a list of {names}, as in [{metadata['choices'][0]}]" if several else names
    limits = allowed(metadata)
    if not limits:
        return words(hint)
    each = ", each" if typing.get_origin(hint) is list else ""
    return f"{words(hint)}{each} {limits}"


def words(hint: Any) -> str:
    """A type annotation in words: ``list[int]`` is "a list of whole numbers"."""
    origin = typing.get_origin(hint)
    if origin in (list, Sequence):
        inner = words(typing.get_args(hint)[0]).removeprefix("a ")
        return f"a list of {inner if inner == 'text' else inner + 's'}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(words(part) for part in typing.get_args(hint))
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _unpackaged(group: str, value: str, loader: Any) -> str:
    """A preset whose keys would lie below its group, as those of options do; empty for no such."""
    if group != catalog.PRESETS:
        return ""
    found = loader.repository.load_config(f"{group}/{value}")
    if found is None or (found.header or {}).get("package"):
        return ""
    path = f"{found.path.removeprefix('file://')}/{group}/{value}.yaml"
    return (
        f"{group}: found {value}, whose file {path} does not say `# @package _global_`: its "
        f"keys would lie below {group}, where no command has any; make that its first line"
    )


def _elsewhere(group: str, base: DictConfig | None) -> str:
    """A group that the command has not; empty where it has, or that is not known."""
    choices = [str(name) for name in base.hydra.runtime.choices] if base is not None else []
    choices = sorted(n for n in choices if not n.startswith(("hydra/", "schema/")))
    if not choices or group in choices or group not in GROUPS:
        return ""
    others = [f"`lipsort {name}`" for name in COMMANDS if group in catalog.default_options(name)]
    return (
        f"{group}: no such group here; groups: {', '.join(choices)}; {', '.join(others)} "
        f"{'has' if len(others) == 1 else 'have'} it"
    )


def _unfit(group: str, value: str, error: Exception) -> str:
    """An option that exists, but not for this command."""
    for name, launch, _ in catalog.presets() if group == catalog.PRESETS else []:
        if name == value:
            return f"{group}: found {value}, which does not fit this command; it is for `{launch}`"
    lacked = re.search(r"In 'experiment/(.+?)'[^\n]*\n.*\n\s*full_key: (\S+)", str(error))
    if lacked:
        return (
            f"{group}: found {value}, which does not fit experiment={lacked[1]}: the preset sets "
            f"{lacked[2]}, a key that {value} lacks; leave the preset, and give its other keys"
        )
    return f"{group}: found {value}, which does not fit here: {first_line(error)}"


def _bad_option(group: str, value: str, options: list[str]) -> str:
    extra = f" ({_EXTRAS[group]})" if group in _EXTRAS else ""
    words = f"{group}: found {value}; allowed: {', '.join(options) or 'nothing yet'}{extra}"
    if own := own_data(value.strip("'\"")) if group == "data" else []:
        return Fault(f"{words}; your own files are {own[0]}", (f"{group}={value}", own))
    near = alike(value, options)
    if not near:
        return words
    hint = f"{words}; did you mean {' or '.join(near[:3])}?"
    return Fault(hint, (f"{group}={value}", [f"{group}={near[0]}"]))


def own_data(path: str) -> list[str]:
    """The overrides that train on a file or folder of the user's own; empty for what is none."""
    ending = PurePath(path).suffix.lower()
    if ending in (".csv", ".tsv", ".txt", ".parquet"):
        return ["data=table", f"data.path={word(path)}", "data.label=COLUMN"]
    if ending == ".npz":
        return ["data=npz", f"data.path={word(path)}"]
    return ["data=folder", f"data.path={word(path)}"] if path and isdir(resolved(path)) else []


def _unknown_key(
    override: Override, last: str, parent: DictConfig, path: str, config: DictConfig, command: str
) -> str:
    key = override.key_or_group
    keys = [str(name) for name in parent]
    if not path:
        # Groups without a node of their own that this command has: the presets.
        chosen = map(str, parent.hydra.runtime.choices)
        keys = [name for name in keys if name != "hydra"]
        keys += [g for g in chosen if g not in keys and not g.startswith(("hydra/", "schema/"))]
    whole = [name for *_, name in single_values(config) if not name.startswith("hydra.")]
    whole.sort(key=lambda name: name.count("."))  # those that lie deeper come behind the others
    near = keys_like(key, [*whole, *([] if path else keys)])
    if not near:
        start = f"{path}." if path else ""
        near = [start + name for name in difflib.get_close_matches(last, keys, n=2)]
    hint = f"; did you mean {' or '.join(name.removeprefix(f'{path}.') for name in near)}?"
    have = [
        option
        for option, kind in GROUPS.get(path, {}).items()
        if last in (entry.name for entry in fields(kind)) and catalog.usable(path, option, command)
    ]
    usual = catalog.default_options("train").get(path)  # which the documentation has
    have.sort(key=lambda option: option != usual)
    own = parent.get("name")
    hint = hint if near else f"; {path}={own} lacks it; add {path}={'|'.join(have)}" * bool(have)
    where = f"keys of {path}" if path else "keys"
    words = f"{key}: no such key; {where}: {', '.join(keys)}{hint}"
    line = override.input_line or ""
    if not line.startswith(f"{key}=") or (near and near[0] in keys and "." in key):
        return words
    if not near:
        left_open = usual in have and own == catalog.default_options(command).get(path)
        return Fault(words, (line, [f"{path}={usual}", line])) if left_open else words
    return Fault(words, (line, [f"{near[0]}={line.partition('=')[2]}"]))


def _keyless(key: str, error: Exception, base: DictConfig | None, command: str) -> str:
    """An override below a group of which nothing is chosen, or below a value."""
    parts = key.split(".")
    for name in (".".join(parts[:depth]) for depth in range(1, len(parts))):
        if base is None or isinstance(OmegaConf.select(base, name), DictConfig):
            continue
        if name in GROUPS:
            options = ", ".join(catalog.group_options(name, command))
            return f"{key}: no {name} is chosen here; allowed: with {name}=OPTION, of {options}"
        return f"{key}: {name} is a value, which has no keys; allowed: {name}=VALUE"
    return f"{key}: {first_line(error)}"


def _find(config: DictConfig, key: str) -> tuple[DictConfig, str, str] | None:
    """The deepest node on the way to ``key``, the part of the key that it lacks or holds, its path.

    None where the way ends at what has no keys.
    """
    node: Any = config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        path = ".".join(parts[:depth])
        if not isinstance(node, DictConfig) or node._is_missing() or node._is_none():
            return None
        # `part in node` would be False for a value that is yet missing.
        if part not in node.keys() or depth == len(parts) - 1:  # noqa: SIM118
            return node, part, path
        node = node._get_node(part)
    return None
