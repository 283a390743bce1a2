"""`lipsort verify`: the verifier, with data sets of a user's own and a limit of the work.

Neither is trusted with anything: points must have the SHA-256 that the certificate states, and a
limit only turns work down. What proves is in :mod:`lipsort_cli.verifier`, which stands alone.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from lipsort_cli.arguments import shown
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import resolved
from lipsort_cli.verification.datasets import certified_points, images_in
from lipsort_cli.verification.effort import Budget
from lipsort_cli.verifier.errors import Misused, require
from lipsort_cli.verifier.verify import Verdict
from lipsort_cli.verifier.verify import verify as judge

__all__ = ["Verdict", "verify"]


def verify(
    path: str | os.PathLike[str],
    *,
    exact: bool = False,
    data: str | os.PathLike[str] | None = None,
    network: str | os.PathLike[str] | None = None,
    patience: float | None = None,
) -> Verdict:
    """Re-derive every claim of the certificate at ``path`` (a file, or the folder that holds it).

    Args:
        path: of the certificate.
        exact: judge every inequality once more in exact arithmetic.
        data: take inputs and labels from this data set, at the certificate's indices, instead of
            the stored copy.
        network: check this deployed network (safetensors with its graph, or ONNX as lipsort writes
            it) instead of the stored one.
        patience: about the seconds of one core that all this may take; by default 3.5, and more for
            files of more than 10 MB.

    Returns:
        ``status`` VALID, INVALID, UNSUPPORTED or MISUSED, ``field`` and ``reason`` of the first
        fault; whatever a file contains, nothing is raised.
    """
    read = None
    try:
        reason = f"found {shown(exact)}; allowed: True, False"
        require(isinstance(exact, bool), "--exact", reason, Misused)
        budget = Budget(patience)
        path = _place("certificate", path)
        if data is not None:
            read = partial(certified_points, _data_set(_place("--data", data)))
        network = None if network is None else _place("--network", network)
    except Misused as fault:
        return Verdict("MISUSED", field=fault.field, reason=fault.reason)
    return judge(path, exact=exact, data=read, network=network, patience=budget)


def _place(field: str, path: object) -> Path:
    """A path that was given. Raises Misused for what is none."""
    good = isinstance(path, str | os.PathLike) and str(path) != ""
    require(good, field, f"found {shown(path)}; allowed: the path of a file or folder", Misused)
    try:
        return resolved(path)  # type: ignore[arg-type]
    except LipsortError as error:
        raise Misused(field, str(error)) from None


def _data_set(path: Path) -> Path:
    """The file of a data set. Raises Misused where there is none."""
    try:
        require(path.exists(), "--data", f"{path} does not exist", Misused)
        return images_in(path) if path.is_dir() else path
    except (OSError, ValueError) as error:
        raise Misused("--data", f"cannot look up the path given: {error}") from None
