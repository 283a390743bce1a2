"""Text as Hydra's override grammar takes it."""

from __future__ import annotations


def quoted(value: str) -> str:
    """``value`` as a quoted string of Hydra's override grammar."""
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{escaped}'"
