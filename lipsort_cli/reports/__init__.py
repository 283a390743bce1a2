"""Reports: runs compared in tables and pictures. Imports no torch."""

from typing import Any


def __getattr__(name: str) -> Any:
    """``build_report``, loaded when it is asked for: other modules of this room draw nothing."""
    if name != "build_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lipsort_cli.reports.build import build_report

    return build_report
