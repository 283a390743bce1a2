"""Which software a run's numbers come from."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path

_REPORTED = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of what decides a run's numbers, by distribution name."""
    from lipsort_cli import __version__

    found = {"lipsort": __version__, "python": platform.python_version()}
    for name in _REPORTED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def commit() -> str | None:
    """The commit of the checkout that this package runs from; None for an installed wheel."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(checkout), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
