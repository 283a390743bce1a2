"""`lipsort import MODEL.onnx`: a network from elsewhere becomes a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsort_cli.config.imported import ImportConfig
from lipsort_cli.console import console, follow_up, plural, results_line
from lipsort_cli.directed_text import at_most, share_down
from lipsort_cli.errors import LipsortError
from lipsort_cli.imports.model import read_model
from lipsort_cli.imports.run import make_run, rounding_words
from lipsort_cli.norms import NAMES
from lipsort_cli.runs import RunRecord


def run(config: ImportConfig, directory: Path) -> None:
    """Import ``config.file`` into ``directory``."""
    from lipsort_cli.data import load

    model = read_model(config.file, tuple(config.input_shape) or None)
    dataset = None if config.data is None else load(config.data)
    data = None if dataset is None else dataset.fingerprint
    with RunRecord.recording(directory, "import", config=config, data=data):
        try:
            imported, agreement, results = make_run(model, config, directory, dataset)
        except LipsortError as error:
            words = str(error)
            raise type(error)(
                words if config.file in words else f"{config.file}: {words}"
            ) from None
    network = imported.network
    shape = "x".join(map(str, network.input_shape))
    console.print(
        f"{Path(config.file).name}: {plural(sum(1 for _ in network.walk()), 'layer')} "
        f"from {shape} to {plural(network.classes, 'output')}; {results['parameters']:,} numbers",
        markup=False,
    )
    console.print(
        f"Outputs agree with those of {agreement.runtime} at {agreement.points} "
        f"{'random inputs' if dataset is None else f'test inputs of {dataset.name}'}: apart by at "
        f"most {at_most(agreement.largest_difference, 3)} of the largest output (empirical)",
        markup=False,
    )
    console.print(rounding_words(imported), markup=False)
    _figures(config, results)
    results_line("Results", directory, "model.safetensors", "results.json", "summary.md")
    known = [] if dataset is not None else ["data=OPTION"]
    # Of one output there is no class to certify.
    follow_up("lipsort", "certify" if network.classes > 1 else "inspect", directory, *known)


def _figures(config: ImportConfig, results: dict[str, Any]) -> None:
    norm = NAMES[config.evaluation.norm]
    if config.data is not None and "clean_accuracy" not in results:
        console.print("One output: no classes, so that nothing is said of labels")
    if "clean_accuracy" in results:
        certified = results["certified_accuracy"]
        shares = ", ".join(f"{share_down(v)} at {k}" for k, v in certified["eps"].items())
        console.print(
            f"Accuracy {results['clean_accuracy']:.2%} (empirical); certified in {norm}, "
            f"{certified['arithmetic']} arithmetic: {shares} (proven)",
            markup=False,
        )
    console.print(
        f"Lipschitz constant at most {at_most(results['lipschitz_bound'], 6)} (proven, {norm} to "
        f"{norm})",
        markup=False,
    )
