"""The ways in which a certificate, network or data file is turned down."""


class Refused(Exception):
    """``field`` is a dotted path such as ``points.radius[7]``, ``reason`` says what is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class Invalid(Refused):
    """The claim does not hold, or the file is not what it says."""


class Unsupported(Refused):
    """This verifier cannot judge: unknown version, operation or arithmetic, or too much of it."""


class Misused(Refused):
    """An option names what it cannot mean; nothing is said about the certificate."""


def require(holds: object, field: str, reason: str, kind: type[Refused] = Invalid) -> None:
    """Raises ``kind`` unless something ``holds``; NaN holds in no comparison."""
    if not holds:
        raise kind(field, reason)
