"""Values as Hydra's grammar and a shell take them: what is shown can be pasted."""

from __future__ import annotations

import re
import shlex

_PLAIN = re.compile(r"[\w./+%@?|-]+(?: [\w./+%@?|-]+)*", re.ASCII)


def quoted(value: str) -> str:
    """``value`` as a quoted string of Hydra's override grammar."""
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{escaped}'"


def argument(key: str, value: str) -> str:
    """``key=value`` as a word of a shell that Hydra reads back as the text ``value``."""
    return shlex.quote(f"{key}={value if _PLAIN.fullmatch(value) else quoted(value)}")
