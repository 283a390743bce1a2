"""The two ways in which a certificate, network or data file is turned down."""

from __future__ import annotations


class Invalid(Exception):
    """The claim does not hold, or the file is not what it says. ``field`` names the place."""

    def __init__(self, field: str, reason: str) -> None:
        """``field`` is a dotted path such as ``points.radius[7]``."""
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Unsupported(Exception):
    """This verifier cannot judge: unknown version, operation or arithmetic."""

    def __init__(self, field: str, reason: str) -> None:
        """``field`` is a dotted path such as ``points.radius[7]``."""
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
