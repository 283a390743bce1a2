"""``python -m lipsort_cli.verifier CERTIFICATE [--exact] [--data PATH] [--network PATH]``."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import Refused
from .external import images_in
from .verify import CERTIFICATE, Verdict, verify


def report(verdict: Verdict) -> str:
    """The verdict as lines for people."""
    if verdict.status == "VALID":
        return "\n".join(["VALID", verdict.statement, *verdict.lines])
    text = f"{verdict.status}\n{verdict.field}: {verdict.reason}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # names need no Unicode


def _missing(certificate: str, data: str | None, network: str | None) -> str | None:
    """What is wrong with the paths of the command line; nothing can be judged without the files."""
    path, hint = Path(certificate), f"; give a {CERTIFICATE} or the folder that holds it; "
    hint += "`lipsort certify RUN` issues one"
    try:
        if path.is_dir() and not (path / CERTIFICATE).exists():
            return f"{path} holds no {CERTIFICATE}; issue one with: lipsort certify {path}"
        for name, given in (("certificate", certificate), ("--data", data), ("--network", network)):
            if given is not None and not Path(given).exists():
                return f"{name}: {given} does not exist" + hint * (name == "certificate")
        if data is not None and Path(data).is_dir():
            images_in(Path(data))
    except Refused as fault:
        return str(fault)
    except (OSError, ValueError) as error:
        return f"cannot look up the paths given: {error}"
    return None


def judge(
    certificate: str,
    *,
    exact: bool,
    data: str | None,
    network: str | None,
    patience: float | None = None,
) -> int:
    """Verify, and print the verdict; returns 0 VALID, 1 INVALID, 3 UNSUPPORTED.

    2: a path does not exist or holds no data set.
    """
    missing = _missing(certificate, data, network)
    if missing:
        print(f"lipsort: {missing}", file=sys.stderr)
        return 2
    verdict = verify(certificate, exact=exact, data=data, network=network, patience=patience)
    if verdict.status == "MISUSED":
        print(f"lipsort: {verdict.field}: {verdict.reason}", file=sys.stderr)
    else:
        print(report(verdict))
    return verdict.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, and :func:`judge`; 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="lipsort verify",
        description="Re-derive every claim of a certificate from weights and data.",
        epilog="exit codes: 0 VALID; 1 INVALID; 2 the command line is wrong, or a path on it does "
        "not exist; 3 UNSUPPORTED (an unknown version, operation or arithmetic, or too much work)",
    )
    add = parser.add_argument
    add("certificate", help="certificate.json, or the folder that holds it")
    add("--exact", action="store_true", help="also judge every inequality in exact arithmetic")
    add("--data", metavar="PATH", help="data set to use instead of the stored copy (.npz, IDX)")
    add("--network", metavar="PATH", help="deployed network to check (.safetensors, .onnx)")
    add("--patience", type=float, metavar="SECONDS", help="work of one core that may be asked for")
    return judge(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    signal.signal(getattr(signal, "SIGPIPE", signal.SIGTERM), signal.SIG_DFL)  # for `| head`
    sys.exit(main())
