"""Which software, and which machine, a run's numbers come from."""

from __future__ import annotations

import contextlib
import os
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


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """What the machine calls its processor, and how many cores it has."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        name = next(named, name)
    count = os.cpu_count() or 1
    return f"{name}, {count} core{'s' if count > 1 else ''}"


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
