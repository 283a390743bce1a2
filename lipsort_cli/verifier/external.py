"""The points of a data set of the caller's own; and the table of points beside a certificate."""

from collections.abc import Callable
from typing import Any

from .errors import Misused, Refused, require
from .tensors import Points, digest_array


def certified_points(certificate: dict[str, Any], read: Callable[[], Points]) -> Points:
    """The points at the certificate's indices. Raises Misused unless they are those certified."""
    try:
        found = read()
    except Refused as fault:
        raise Misused(fault.field, fault.reason) from None
    except Exception as error:  # whatever a damaged file makes its reader stumble over
        raise Misused("--data", str(error)[:200]) from None
    index, stored = certificate["points"]["index"], certificate["data"]
    reason = f"it holds {len(found.inputs)} points, and the certificate names later ones"
    require(max(index, default=0) < len(found.inputs), "--data", reason, Misused)
    points = Points(found.inputs[index], found.labels[index])
    for name, column in points._asdict().items():
        reason = f"the {name} at the certificate's indices are not those certified; "
        reason += f"allowed: the data set that it was issued for ({stored['source']!r:.200})"
        require(digest_array(column) == stored[f"{name}_sha256"], "--data", reason, Misused)
    return points


def points_table(points: dict[str, Any]) -> bytes:
    """``points.csv``: the certificate's points for people; ``repr`` keeps every digit."""
    columns = (points[name] for name in ("index", "label", "prediction", "radius"))
    rows = (f"{i},{label},{made},{size!r}\n" for i, label, made, size in zip(*columns, strict=True))
    return "".join(["index,label,prediction,certified_radius\n", *rows]).encode("ascii")


def check_table(certificate: dict[str, Any], table: bytes) -> None:
    """People read ``points.csv``: it must say the same."""
    wanted = points_table(certificate["points"])
    lines = enumerate(zip(table.split(b"\n"), wanted.split(b"\n"), strict=False), 1)
    line = next((number for number, (found, right) in lines if found != right), "the last")
    reason = f"line {line} does not say what the certificate says"
    require(table == wanted, "points.csv", reason)
