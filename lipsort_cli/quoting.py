"""Text as Hydra's override grammar takes it."""

from __future__ import annotations

import re


def quoted(value: str) -> str:
    """``value`` as a quoted string of Hydra's override grammar."""
    # Backslashes are themselves, but before a quotation mark, the closing one included.
    escaped = re.sub(r"(\\*)('|$)", _escape, value)
    return f"'{escaped}'"


def _escape(found: re.Match[str]) -> str:
    mark = "\\'" if found[2] else ""
    return found[1] * 2 + mark
