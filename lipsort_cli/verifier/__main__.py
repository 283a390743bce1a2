"""``python -m lipsort_cli.verifier CERTIFICATE [--exact] [--data PATH] [--network PATH]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lipsort_cli.verifier.verify import Verdict, verify


def report(verdict: Verdict) -> str:
    """The verdict as lines for people."""
    if verdict.status == "VALID":
        return "\n".join(["VALID", verdict.statement, *verdict.lines])
    return f"{verdict.status}\n{verdict.field}: {verdict.reason}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, verify, print; returns 0 VALID, 1 INVALID, 3 UNSUPPORTED."""
    parser = argparse.ArgumentParser(
        prog="lipsort verify",
        description="Re-derive every claim of a certificate from weights and data.",
        epilog="Exit code: 0 VALID, 1 INVALID, 3 UNSUPPORTED; 2 when the command line is wrong.",
    )
    parser.add_argument("certificate", help="certificate.json, or the folder that holds it")
    parser.add_argument(
        "--exact", action="store_true", help="also judge every inequality in exact integers"
    )
    parser.add_argument(
        "--data", metavar="PATH", help="data set to use instead of the stored copy (.npz, IDX)"
    )
    parser.add_argument(
        "--network", metavar="PATH", help="deployed network to check (.safetensors, .onnx)"
    )
    options = parser.parse_args(arguments)
    verdict = verify(
        options.certificate, exact=options.exact, data=options.data, network=options.network
    )
    print(report(verdict))
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
