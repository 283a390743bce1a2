"""`lipsort train`: trains a classifier, evaluates it clean, certified and under attack."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save

from lipsort_cli.arithmetic import judging_device
from lipsort_cli.certificates.points import load_network
from lipsort_cli.config.train import TrainConfig
from lipsort_cli.console import console, follow_up, plural, results_line, show_table
from lipsort_cli.data import Dataset, load
from lipsort_cli.data.classes import warn_of_test
from lipsort_cli.data.tabular import warn_of_scales
from lipsort_cli.directed_text import at_most, share_down
from lipsort_cli.errors import UsageError
from lipsort_cli.figures.robustness import draw_robustness
from lipsort_cli.files import write_atomic, write_json
from lipsort_cli.finding import find_run
from lipsort_cli.norms import NAMES, route_words
from lipsort_cli.runs import UNPROVEN, RunRecord
from lipsort_cli.training import engine
from lipsort_cli.training.checkpoint import load_checkpoint
from lipsort_cli.training.classifier import ClassifierTask
from lipsort_cli.training.device import parameter_count, resolve_device, set_threads
from lipsort_cli.training.evaluation import TestFigures, correct_points, evaluate
from lipsort_cli.zoo import build_network, network_text, save_network
from lipsort_cli.zoo.operations import NoPlainForm
from lipsort_cli.zoo.start import start_from


def run(config: TrainConfig, directory: Path) -> None:
    """Train in the run directory ``directory``; go on with it where it holds a checkpoint."""
    device = resolve_device(config.device)
    dataset = load(config.data)
    if dataset.classes < 2:
        raise UsageError(
            f"data: {dataset.name} has one class; a classifier needs at least 2: a subfolder of "
            "pictures for each, or arrays y_train and y_test of labels"
        )
    about = {"device": str(device), "data": dataset.fingerprint}
    with RunRecord.recording(directory, "train", config=config, **about) as record:
        warn_of_scales(dataset)
        task = build_task(config, dataset, device)
        console.print(_headline(config, dataset, task))
        if not engine.run(task, engine.Session.of(config, record)):
            return
        warn_of_test(dataset)  # a search's trials end before: they see nothing of the test split
        network = task.network
        try:
            save_network(network, directory / "model.safetensors")
        except NoPlainForm as error:
            _unproven(task, dataset, directory, str(error))
            return
        plain = load_network(directory / "model.safetensors")
        attack = "" if config.evaluation.attack.points == 0 else " and attack"
        console.print(f"evaluating: certificates{attack} on the test set")
        evaluation = evaluate(network, plain, dataset, config, device)
        write_json(directory / "results.json", evaluation.results() | _spent(task))
        _draw(config, dataset, evaluation, directory)
    _show(config, evaluation, task.at.seconds, directory)


def _unproven(task: ClassifierTask, dataset: Dataset, directory: Path, reason: str) -> None:
    """What is left of a run whose network has no plain form: weights, accuracy and the reason."""
    network = task.network
    correct = correct_points(network, dataset.test, judging_device(task.device))
    write_atomic(directory / "weights.safetensors", save(network.state_dict()))
    results = {
        "clean_accuracy": float(correct.mean()),
        "evidence": {"clean_accuracy": "empirical"},
        UNPROVEN: reason,
    }
    write_json(directory / "results.json", results | _spent(task))
    console.print(f"Accuracy without perturbation {correct.mean():.2%} (empirical)")
    console.print(f"no certificate: {reason}")
    results_line("Results", directory, "results.json", "weights.safetensors")
    follow_up("lipsort", "report", directory)


def _spent(task: ClassifierTask) -> dict[str, float]:
    return {"parameters": parameter_count(task.network), "train_seconds": round(task.at.seconds, 3)}


def build_task(config: TrainConfig, dataset: Dataset, device: torch.device) -> ClassifierTask:
    """Network, optimizer and loss of a configuration, ready to train."""
    # Seeded before anything random exists: the weights are drawn next.
    torch.manual_seed(config.seed)
    network = build_network(
        config.model, config.activation, config.constraint, dataset.input_shape, dataset.classes
    )
    if dataset.scale is not None:
        network = network.behind(*dataset.scale)
    elif config.training.center:
        network = network.centered(dataset.train.inputs)
    if config.start is not None:
        run = find_run(config.start, ("train",))
        start_from(
            network, load_network(run / "model.safetensors"), config.start,
            lambda: ((load_checkpoint(run) or {}).get("task") or {}).get("network", {}),
        )  # fmt: skip
    if config.training.keep == "best" and not len(dataset.validation):
        raise UsageError(
            "training.keep: found best, and no validation data that tell which epoch is; give "
            "data.validation=0.1"
        )
    network = network.to(device)
    set_threads(config.threads, network)
    return ClassifierTask(config, dataset, network, device)


def _describe(config: TrainConfig) -> str:
    return f"{config.model.name} {network_text(config)}"


def _headline(config: TrainConfig, dataset: Dataset, task: ClassifierTask) -> str:
    return (
        f"{_describe(config)}: {parameter_count(task.network):,} parameters; {dataset.name}: "
        f"{len(dataset.train):,} training, {len(dataset.validation):,} validation, "
        f"{len(dataset.test):,} test; "
        f"{plural(task.total, 'step')} on {task.device} in {task.dtype}".replace("torch.", "")
    )


def _draw(config: TrainConfig, dataset: Dataset, evaluation: TestFigures, directory: Path) -> None:
    # Beside the curve of all points only an attack on all points says anything.
    attacked = {}
    if evaluation.attacked_points == len(evaluation.points.radii):
        attacked = {float(key): value for key, value in evaluation.attacked.items()}
    draw_robustness(
        directory / "figures" / "robustness.png",
        evaluation.points.radii,
        norm=config.evaluation.norm,
        title=f"{dataset.name}: {_describe(config)}",
        clean=evaluation.clean,
        attacked=attacked,
        eps=config.evaluation.eps,
    )


def _show(config: TrainConfig, evaluation: TestFigures, seconds: float, directory: Path) -> None:
    norm = NAMES[config.evaluation.norm]
    points = evaluation.points
    header = ["eps", "certified\n(proven)"]
    rows = [[key, share_down(value)] for key, value in evaluation.certified.items()]
    if evaluation.attacked:
        count = evaluation.attacked_points
        which = "empirical" if count == len(points.radii) else f"first {count:,} only"
        header.append(f"under attack\n({which})")
        for row in rows:
            attacked = evaluation.attacked.get(row[0])
            row.append("" if attacked is None else f"{attacked:.2%}")
    if evaluation.deviations:
        header.append("certified, eps in standard\ndeviations (proven, real)")
        for row in rows:
            row.append(share_down(evaluation.deviations[row[0]]))
    by = "".join(f", {words}" for words in [route_words(points.shares())] if words)
    show_table(header, rows, title=f"Test set, {plural(len(points.radii), 'point')}, {norm}")
    console.print(f"Accuracy without perturbation {evaluation.clean:.2%} (empirical)")
    console.print(
        f"Lipschitz constant at most {at_most(points.lipschitz, 9)} (proven, {norm} to {norm}); "
        f"certificates hold in {points.arithmetic} arithmetic{by}; trained in {seconds:.1f} s"
    )
    results_line("Results", directory, "results.json", "figures/robustness.png")
    follow_up("lipsort", "certify", directory)
