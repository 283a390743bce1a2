"""What was meant by a key or a value that is written in another way: `10k`, `(64, 64)`, `L2`."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from lipsort_cli.config import catalog
from lipsort_cli.config.validate import value_faults
from lipsort_cli.errors import Instead
from lipsort_cli.quoting import word as hydra_word

_OTHER_NAMES = {
    "learning_rate": "lr",
    "batch": "batch_size",
    "dataset": "data",
    "output": "hydra.run.dir",
    "output_dir": "hydra.run.dir",
    "out": "hydra.run.dir",
}
"""What other tools call a key."""
_UNITS = {"k": 10**3, "m": 10**6}
_CLOSE = 0.75


def keys_like(name: str, keys: Iterable[str]) -> list[str]:
    """The ``keys`` that ``name`` may stand for: as it ends, in other letters, or nearly so."""
    known = list(dict.fromkeys(keys))
    wanted = name.lower().replace("-", "_")
    wanted = _OTHER_NAMES.get(wanted, wanted)
    path, _, last = wanted.rpartition(".")
    last = _OTHER_NAMES.get(last, last)
    flat = wanted.replace(".", "_")
    whole = [key for key in known if key.lower().replace(".", "_") == flat]
    if whole or last == "name":
        return whole
    below = [key for key in known if not path or key.lower().startswith(f"{path}.")]
    ends = {key: key.rpartition(".")[2].lower() for key in below}
    exact = [key for key, end in ends.items() if end == last]
    if exact or len(last) < 3:
        return exact
    close = difflib.get_close_matches(last, sorted(set(ends.values())), n=2, cutoff=_CLOSE)
    return [key for end in close for key, own in ends.items() if own == end]


def alike(value: str, options: Sequence[str]) -> list[str]:
    """Options that ``value`` may stand for, the likeliest first."""
    plain = {option: _plain(option) for option in options}
    wanted = {_plain(value), _plain(value.replace("3", "three"))}
    parts = {_plain(part) for part in re.split("[-_ .]", value)}
    found = [
        *(o for o in options if plain[o] in wanted),
        *(o for o in options if plain[o] in parts),
        *(o for o in options if len(value) > 2 and plain[o].startswith(_plain(value))),
        *difflib.get_close_matches(value.lower(), options, n=2),
    ]
    return list(dict.fromkeys(found))


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def override_like(command: str, text: str) -> Instead | None:
    """What was meant by the override ``text`` of a command, whose value its key does not take."""
    name, _, value = text.partition("=")
    for key in catalog.all_keys(command):
        if key.name != name:
            continue
        found = _value(value, key.kind, key.field.metadata)
        decimal = float in (key.kind, *typing.get_args(key.kind))
        same = _same(f"{name}={found}", text) if decimal else f"{name}={found}" == text
        if found is not None and not same:
            return text, [f"{name}={found}"]
        several = re.fullmatch(r"\[([^\[\]]+)\]", value)
        if several and typing.get_origin(key.kind) is not list:
            each = [_value(one, key.kind, key.field.metadata) for one in several[1].split(",")]
            if all(one is not None for one in each):
                return text, ["-m", f"{name}={','.join(map(str, each))}"]
    return None


def _same(override: str, other: str) -> bool:
    """Whether two overrides are one, however their numbers are written: 5 and 5.0."""
    parser = OverridesParser.create()
    try:
        one, two = (parser.parse_override(text).value() for text in (override, other))
    except HydraException:
        return override == other
    return bool(one == two)


def _value(text: str, kind: Any, metadata: Any) -> str | None:
    """``text`` as a value of a key's type within its range; None where that is not plain."""
    bare = text.strip().strip("'\"").strip()
    if typing.get_origin(kind) is list:
        if bare.count("[") != bare.count("]"):
            return None  # who knows what is missing
        inner = typing.get_args(kind)[0]
        between = r"[,;]" if inner is str else r"[,;x\s]"
        items = [item for item in re.split(between, bare.strip("[](){}")) if item.strip()]
        values = [_value(item, inner, metadata) for item in items]
        return f"[{','.join(map(str, values))}]" if items and None not in values else None
    choices = metadata.get("choices")
    if choices:
        return next(iter(alike(bare, choices)), None)
    if kind is str and metadata.get("pattern"):
        return bare.lower() if re.fullmatch(metadata["pattern"], bare.lower()) else None
    if kind is str:
        return hydra_word(bare) if re.fullmatch(r"[\w.-]+", bare, re.ASCII) else None
    number = _number(bare) if kind in (int, float) else None
    if number is None or (kind is int and number.denominator > 1):
        return None
    found = int(number) if kind is int else float(number)
    return None if list(value_faults("", found, metadata)) else repr(found)


def _number(text: str) -> Fraction | None:
    """1,000 and 1e3 and 10k and 8/255."""
    if re.fullmatch(r"\d{1,3}([,_' ]\d{3})+", text):
        text = re.sub(r"\D", "", text)
    unit = re.fullmatch(r"([^A-Za-z]*\d)([kKmM])", text)
    text, factor = (unit[1], _UNITS[unit[2].lower()]) if unit else (text, 1)
    if not re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d{1,3})?(/\d+)?", text):
        return None
    try:
        return Fraction(text) * factor if "/" in text else Fraction(str(float(text))) * factor
    except (ValueError, ZeroDivisionError):
        return None
