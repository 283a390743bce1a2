"""`lipsort generalisation RUN`: a margin bound of the test error, computed from the certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from lipsort_cli.console import console, follow_up, results_line
from lipsort_cli.errors import LipsortError, UsageError


def generalisation(
    run: Annotated[
        str | None, Argument(metavar="[RUN]", help="Run directory; the newest one if left out.")
    ] = None,
    delta: Annotated[float, Option(help="1 - confidence; > 0 and < 1.")] = 0.05,
    out: Annotated[
        str | None, Option(metavar="FOLDER", help="Where to write; the run if left out.")
    ] = None,
) -> int:
    """Bound a trained run's probability of error from its certificate.

    From its training margins and its certified norms (Bartlett, Foster and Telgarsky, 2017), beside
    the measured gap; writes generalisation.json. The network must have no biases: train with
    model.bias=false.
    """
    if not 0 < delta < 1:
        raise UsageError(f"--delta: found {delta:g}; allowed: > 0 and < 1")

    from lipsort_cli.commands.earlier import write_result
    from lipsort_cli.directed_text import at_most
    from lipsort_cli.files import make_folder
    from lipsort_cli.finding import find_run, usable_folder

    directory = find_run(run, ("train",))
    folder = directory if out is None else usable_folder("--out", out)
    found = _bounded(directory, delta)
    make_folder(folder)
    asked = {"run": str(directory), "delta": delta}
    write_result(folder / "generalisation.json", found, asked, "--out FOLDER")
    bound = found["bound"]
    says = "it says nothing: above 1" if bound["vacuous"] else f"at margin {bound['margin']:.3g}"
    console.print(
        f"Training accuracy {found['train_accuracy']:.2%}, test {found['test_accuracy']:.2%}: "
        f"gap {found['gap']:.2%} (empirical)"
    )
    console.print(
        f"Probability of error at most {at_most(bound['value'], 4)} ({bound['evidence']}; {says})"
    )
    if "normalised" in bound:
        console.print(
            f"Normalised complexity {bound['normalised']:.4g}: compare it between networks "
            "trained on equally many examples"
        )
    results_line("Results", folder / "generalisation.json")
    follow_up("lipsort", "certify", directory)
    return 0


def _bounded(directory: Path, delta: float) -> dict[str, Any]:
    """Training and test accuracy of a run, their gap (empirical), and the margin bound."""
    import torch

    from lipsort_cli.certificates.points import evaluate, load_network
    from lipsort_cli.data import load
    from lipsort_cli.files import read_json
    from lipsort_cli.layers.margins import worst_margin
    from lipsort_cli.theory.generalisation import margin_bound
    from lipsort_cli.trained import open_run

    trained = open_run(directory, 1)
    network = load_network(trained.network)
    train = load(trained.config.data).train
    inputs, labels = train.inputs.numpy(), train.labels.numpy()
    bound = margin_bound(network, inputs, labels, delta)
    logits = torch.from_numpy(evaluate(network, inputs, "real").logits)
    # As of the test set: ties are errors.
    seen = float((worst_margin(logits, train.labels) > 0).double().mean())
    unseen = read_json(directory / "results.json").get("clean_accuracy")
    if not isinstance(unseen, float):
        raise LipsortError(
            f"{directory / 'results.json'}: damaged: clean_accuracy is {str(unseen)[:60]!r}"
        )
    return {
        "train_accuracy": seen,
        "test_accuracy": unseen,
        "gap": seen - unseen,
        "evidence": "empirical",
        "examples": len(labels),
        "bound": bound.entry(),
    }
