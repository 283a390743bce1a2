"""``python -m lipsort_cli.verifier CERTIFICATE [--exact] [--network PATH]``."""

import argparse
import signal
import sys
from collections.abc import Sequence

from .verify import Verdict, verify


def report(verdict: Verdict) -> str:
    """The verdict as lines for people."""
    fault = f"{verdict.field}: {verdict.reason}"
    words = [verdict.statement, *verdict.lines] if verdict.status == "VALID" else [fault]
    known = sys.stdout.encoding or "utf-8"  # which need not have the letters of a file's names
    return "\n".join([verdict.status, *words]).encode(known, "backslashreplace").decode(known)


def show(verdict: Verdict) -> int:
    """Print a verdict; returns its exit code."""
    if verdict.status == "MISUSED":
        print(f"lipsort: {verdict.field}: {verdict.reason}", file=sys.stderr)
    else:
        print(report(verdict))
    return verdict.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, verify, and :func:`show`; 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m lipsort_cli.verifier",
        description="Re-derive every claim of a certificate from weights and data.",
        epilog="exit codes: 0 VALID; 1 INVALID; 2 the command line is wrong, or a path on it does "
        "not exist; 3 UNSUPPORTED (an unknown version, operation or arithmetic)",
    )
    add = parser.add_argument
    add("certificate", help="certificate.json, or the folder that holds it")
    add("--exact", action="store_true", help="also judge every inequality in exact arithmetic")
    add("--network", metavar="PATH", help="deployed network to check (.safetensors, .onnx)")
    given = parser.parse_args(arguments)
    return show(verify(given.certificate, exact=given.exact, network=given.network))


if __name__ == "__main__":
    signal.signal(getattr(signal, "SIGPIPE", signal.SIGTERM), signal.SIG_DFL)  # for `| head`
    sys.exit(main())
