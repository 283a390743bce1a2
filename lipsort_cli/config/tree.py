"""The YAML tree ``conf/``: where it lies, and which options it offers. Imports no Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError

_PACKAGE = Path(__file__).resolve().parents[1]


def config_root() -> Path:
    """The folder of the shipped configuration: inside the wheel, or beside the package."""
    for candidate in (_PACKAGE / "conf", _PACKAGE.parent / "conf"):
        if (candidate / "train.yaml").is_file():
            return candidate
    raise LipsortError(
        f"the configuration tree is missing: neither {_PACKAGE / 'conf'} nor "
        f"{_PACKAGE.parent / 'conf'} holds train.yaml; reinstall lipsort"
    )


def group_files(group: str) -> list[str]:
    """The files of a group, without their ending, as ``folder/name`` below it."""
    folder = config_root() / group
    found = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return sorted(path.as_posix() for path in found)


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The single values of a nested configuration by dotted key; lists are values."""
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def heading(path: Path) -> list[str]:
    """The comment lines at the head of a YAML file, without ``# `` and Hydra's directives."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        if text and not text.startswith("@package"):
            lines.append(text)
    return lines
