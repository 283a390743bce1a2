"""`lipsort train`: trains a classifier, evaluates it clean, certified and under attack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from lipsort_cli.certificates import load_network
from lipsort_cli.config.distance import FixedLinfModel
from lipsort_cli.console import console, follow_up, results_line
from lipsort_cli.data import Dataset, load
from lipsort_cli.errors import UsageError
from lipsort_cli.figures.robustness import draw_robustness
from lipsort_cli.optim import build_optimizer, build_schedule
from lipsort_cli.rounding import at_most, share_down
from lipsort_cli.runs import RunRecord, write_json
from lipsort_cli.training.device import resolve_device, set_threads
from lipsort_cli.training.distributed import Team
from lipsort_cli.training.evaluation import Evaluation, evaluate
from lipsort_cli.training.loop import Trainer, steps_an_epoch
from lipsort_cli.training.losses import build_loss
from lipsort_cli.zoo import build_network, layer_text, save_network


def run(config: Any, directory: Path) -> None:
    """Train in the run directory ``directory``; go on with it where it holds a checkpoint."""
    device = resolve_device(config.device)
    dataset = load(config.data)
    if dataset.classes < 2:
        raise UsageError(
            f"data: {dataset.name} has one class; a classifier needs at least 2: put the images of "
            "each class into a subfolder of its own"
        )
    with RunRecord.recording(
        directory,
        "train",
        config=config,
        seed=config.seed,
        device=str(device),
        data=dataset.fingerprint,
    ):
        trainer = _trainer(config, dataset, device, directory)
        console.print(_headline(config, dataset, trainer), markup=False)
        trainer.team = Team.join(device)
        try:
            trainer.team.start(trainer.network, config.seed)
            trainer.run()
        finally:
            trainer.team.leave()
        if not trainer.team.leads:
            return
        network = trainer.network
        save_network(network, directory / "model.safetensors")
        plain = load_network(directory / "model.safetensors")
        console.print("evaluating: certificates and attack on the test set", markup=False)
        evaluation = evaluate(network, plain, dataset, config, device)
        write_json(
            directory / "results.json",
            {
                **evaluation.results(),
                "parameters": sum(p.numel() for p in network.parameters()),
                "train_seconds": round(trainer.seconds, 3),
            },
        )
    _draw(config, dataset, evaluation, directory)
    _show(config, evaluation, trainer.seconds, directory)


def _trainer(config: Any, dataset: Dataset, device: torch.device, directory: Path) -> Trainer:
    # Seeded before anything random exists: the weights are drawn next.
    torch.manual_seed(config.seed)
    network = build_network(
        config.model, config.activation, config.constraint, dataset.input_shape, dataset.classes
    )
    if config.training.center:
        network = network.centered(dataset.train.inputs)
    network = network.to(device)
    set_threads(config.threads, sum(p.numel() for p in network.parameters()))
    optimizer = build_optimizer(network, config.optimizer)
    total = config.training.epochs * steps_an_epoch(len(dataset.train), config.training.batch_size)
    schedule = build_schedule(optimizer, config.schedule, total)
    loss = build_loss(config.loss)
    return Trainer(config, dataset, network, optimizer, schedule, loss, device, directory)


def _describe(config: Any) -> str:
    if isinstance(config.model, FixedLinfModel):
        return f"{config.model.name} {layer_text(config.model)}"
    group = getattr(config.activation, "group_size", None)
    activation = config.activation.name + (f"({group})" if group else "")
    return f"{config.model.name} {layer_text(config.model)} {activation}, {config.constraint.name}"


def _headline(config: Any, dataset: Dataset, trainer: Trainer) -> str:
    count = sum(p.numel() for p in trainer.network.parameters())
    return (
        f"{_describe(config)}: {count:,} parameters; {dataset.name}: {len(dataset.train):,} "
        f"training, {len(dataset.validation):,} validation, {len(dataset.test):,} test; "
        f"{trainer.total_steps:,} steps on {trainer.device} in {trainer.dtype}".replace(
            "torch.", ""
        )
    )


def _draw(config: Any, dataset: Dataset, evaluation: Evaluation, directory: Path) -> None:
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


def _show(config: Any, evaluation: Evaluation, seconds: float, directory: Path) -> None:
    norm = {"l2": "L2", "linf": "L-infinity"}[config.evaluation.norm]
    points = evaluation.points
    table = Table(title=f"Test set, {len(points.radii):,} points, {norm}")
    attacked_points = evaluation.attacked_points
    whole = attacked_points == len(points.radii)
    table.add_column("eps", justify="right")
    table.add_column("certified\n(proven)", justify="right")
    table.add_column(
        "under attack\n(empirical)" if whole else f"under attack\n(first {attacked_points:,} only)",
        justify="right",
    )
    for key, value in evaluation.certified.items():
        attacked = evaluation.attacked.get(key)
        table.add_row(key, share_down(value), "" if attacked is None else f"{attacked:.2%}")
    console.print(table)
    console.print(f"Accuracy without perturbation {evaluation.clean:.2%} (empirical)", markup=False)
    console.print(
        f"Lipschitz constant at most {at_most(points.lipschitz, 9)} (proven, {norm} to {norm}); "
        f"certificates hold in {points.arithmetic} arithmetic; trained in {seconds:.1f} s",
        markup=False,
    )
    results_line("Results", directory, "results.json", "figures/robustness.png")
    follow_up("lipsort", "certify", directory)
