"""`lipsort generalisation RUN`: a margin bound of the test error, computed from the certificate."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lipsort_cli.console import console, follow_up, results_line
from lipsort_cli.errors import UsageError


def main(arguments: Sequence[str]) -> int:
    """Bound the error of one run; writes ``generalisation.json``; 0 when it could be computed."""
    parser = argparse.ArgumentParser(
        prog="lipsort generalisation",
        description="Bound a trained run's probability of error from its training margins and its "
        "certified norms (Bartlett, Foster and Telgarsky, 2017), beside the measured gap.",
        epilog="The network must have no biases: train with model.bias=false.",
    )
    parser.add_argument("run", nargs="?", help="run directory; the newest one if left out")
    parser.add_argument("--delta", type=float, default=0.05, help="1 - confidence (default 0.05)")
    parser.add_argument("--out", metavar="FOLDER", help="where to write; the run if left out")
    options = parser.parse_args(list(arguments))
    if not 0 < options.delta < 1:
        raise UsageError(f"--delta: found {options.delta:g}; allowed: > 0 and < 1")

    from lipsort_cli import runs
    from lipsort_cli.files import make_folder
    from lipsort_cli.reproduction.trained import generalisation
    from lipsort_cli.rounding import at_most

    run = runs.find_run(options.run, ("train",))
    folder = run if options.out is None else Path(options.out)
    make_folder(folder)
    found = generalisation(run, options.delta)
    runs.write_json(folder / "generalisation.json", found)
    bound = found["bound"]
    says = "it says nothing: above 1" if bound["vacuous"] else f"at margin {bound['margin']:.3g}"
    console.print(
        f"Training accuracy {found['train_accuracy']:.2%}, test {found['test_accuracy']:.2%}: "
        f"gap {found['gap']:.2%} (empirical)",
        markup=False,
    )
    console.print(
        f"Probability of error at most {at_most(bound['value'], 4)} ({bound['evidence']}; {says})",
        markup=False,
    )
    if "normalised" in bound:
        console.print(
            f"Normalised complexity {bound['normalised']:.4g}: compare it between networks "
            "trained on equally many examples",
            markup=False,
        )
    results_line("Results", folder / "generalisation.json")
    follow_up("lipsort", "certify", run)
    return 0
