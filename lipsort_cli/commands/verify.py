"""`lipsort verify CERTIFICATE`: the verifier under its everyday name."""

from __future__ import annotations

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
        str | None,
        Option(metavar="PATH", help="Deployed network to check (.safetensors, .onnx)."),
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

    return show(verdict(certificate, exact=exact, data=data, network=network, patience=patience))
