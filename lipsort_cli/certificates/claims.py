"""What a certificate on disk claims, so that another claim does not silently take its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from lipsort_cli.certificates.files import CERTIFICATE, NETWORK
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import read_json
from lipsort_cli.identity import file_digest
from lipsort_cli.runs import RECORD


class Claim(NamedTuple):
    """What is claimed, for how many points, and the radii ``eps`` whose counts are stated."""

    kind: str
    norm: str
    arithmetic: str
    points: int
    eps: tuple[float, ...]

    def differences(self, asked: Claim) -> str:
        """What differs in ``asked``, in words; empty for the same claim."""
        return ", ".join(
            f"{name} {_text(found)} (asked: {_text(wanted)})"
            for name, found, wanted in zip(self._fields, self, asked, strict=True)
            if found != wanted
        )


def read_claim(path: Path) -> Claim:
    """The claim of a certificate of any kind. Raises LipsortError when it is damaged."""
    content = read_json(path)
    try:
        claim: dict[str, Any] = content["claim"]
        stated = content.get("summary", {}).get("certified_at", [])
        return Claim(
            content["kind"],
            claim["norm"],
            claim["arithmetic"],
            len(content["points"]["index"]) if "points" in content else content["x"]["count"],
            tuple(float.fromhex(entry["eps"]) for entry in stated),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LipsortError(f"{path}: no certificate of this version ({error!r})") from None


def protect(directory: Path, run: Path, claim: Claim, *, replace: bool) -> None:
    """Refuse to overwrite what ``directory`` holds, unless it is this claim about the same run.

    ``replace`` allows another claim, but never the folder of another run.

    Raises:
        UsageError: the folder holds another run, or a certificate of another claim.
    """
    own = directory.resolve() == run.resolve()
    if not own and (directory / RECORD).exists():
        raise UsageError(
            f"hydra.run.dir: found {directory}, which holds another run; choose another folder"
        )
    path = directory / CERTIFICATE
    if replace or not path.exists():
        return
    try:
        found = read_claim(path).differences(claim)
    except LipsortError as error:
        found = f"what cannot be read ({error})"
    if not found and not own and _digest(directory / NETWORK) != _digest(run / NETWORK):
        found = "another network"
    if found:
        raise UsageError(
            f"{path} holds a certificate of another claim: {found}; choose another folder with "
            "hydra.run.dir=FOLDER, or overwrite it with replace=true"
        )


def _text(value: object) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except LipsortError:
        return None
