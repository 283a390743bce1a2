"""Text as Hydra's override grammar takes it."""

from __future__ import annotations

import re


def quoted(value: str) -> str:
    """``value`` as a quoted string of Hydra's override grammar."""
    # Backslashes are themselves, but before a quotation mark, the closing one included.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value)
    return f"'{escaped}'"
