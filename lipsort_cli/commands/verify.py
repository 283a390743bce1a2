"""`lipsort verify CERTIFICATE`: the verifier under its everyday name."""

from __future__ import annotations

from os.path import isdir
from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def verify(
    certificate: Annotated[str, Argument(help="certificate.json, or the folder that holds it")],
    exact: Annotated[
        bool, Option("--exact", help="Also judge every inequality in exact arithmetic.")
    ] = False,
    data: Annotated[
        str | None,
        Option(metavar="PATH", help="Data set to use instead of the stored copy (.npz, IDX)."),
    ] = None,
    network: Annotated[
        str | None, Option(metavar="PATH", help="Deployed network to check (.safetensors, .onnx).")
    ] = None,
    patience: Annotated[
        float | None,
        Option(metavar="SECONDS", help="Work of one core that the certificate may ask for."),
    ] = None,
) -> int:
    """Re-derive every claim of a certificate, independently.

    Exit codes: 0 VALID; 1 INVALID; 2 the command line is wrong, or a path on it does not exist;
    3 UNSUPPORTED (an unknown version, operation or arithmetic, or more work than its size allows).
    """
    from lipsort_cli.verification import verify as verdict
    from lipsort_cli.verifier.__main__ import show

    found = verdict(certificate, exact=exact, data=data, network=network, patience=patience)
    if (found.status, found.field) == ("MISUSED", "certificate") and isdir(certificate):
        found = found._replace(reason=_lacking(Path(certificate)))
    return show(found)


def _lacking(folder: Path) -> str:
    """What a folder without a certificate is, and how one comes about, which no verifier knows."""
    from lipsort_cli.config.schema import COMMANDS
    from lipsort_cli.console import command_line
    from lipsort_cli.errors import LipsortError
    from lipsort_cli.finding import find_run
    from lipsort_cli.verifier.verify import CERTIFICATE

    certify = COMMANDS["certify"]
    try:
        find_run(str(folder.absolute()), certify.takes, senseless=certify.senseless)
    except LipsortError as error:
        return f"{folder} holds no {CERTIFICATE}, and none can be issued for it: {error}"
    issue = command_line("lipsort", "certify", folder)
    return f"{folder} holds no {CERTIFICATE}; issue one with: {issue}"
