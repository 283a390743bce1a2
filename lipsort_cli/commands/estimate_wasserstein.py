"""`lipsort estimate-wasserstein`: bounds W1 between two distributions from both sides."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsort_cli.certificates.points import load_network
from lipsort_cli.config.models import ExtensionModel, MlpModel
from lipsort_cli.config.wasserstein import EstimateWassersteinConfig
from lipsort_cli.console import console, follow_up, plural, results_line, show_table, warn
from lipsort_cli.directed_text import at_least, at_most
from lipsort_cli.files import write_json
from lipsort_cli.norms import DUAL, NAMES
from lipsort_cli.runs import RunRecord
from lipsort_cli.training import engine
from lipsort_cli.training.device import parameter_count, resolve_device, set_threads
from lipsort_cli.wasserstein import bounds as found
from lipsort_cli.wasserstein.bounds import Bound, SavedCritic, directed, verdict
from lipsort_cli.wasserstein.build import build_source
from lipsort_cli.wasserstein.extension import ExtensionTask
from lipsort_cli.wasserstein.figures import draw_all
from lipsort_cli.wasserstein.sources import Measures, Source
from lipsort_cli.wasserstein.training import (
    COMPARED,
    EXTRA,
    HELD_OUT,
    CriticTask,
    make_task,
    stream,
)
from lipsort_cli.zoo import network_text, save_network


def run(config: EstimateWassersteinConfig, directory: Path) -> None:
    """Estimate in the run directory ``directory``; go on with it where it holds a checkpoint."""
    began = time.monotonic()
    device = resolve_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    source = build_source(config, device)
    chosen = config.fit(source.dim, source.finite)
    about = {"device": str(device), "data": source.fingerprint}
    with RunRecord.recording(directory, "estimate-wasserstein", config=config, **about) as record:
        task = build_task(config, source, device)
        console.print(_headline(config, source))
        if chosen:
            console.print(f"chosen for the data: {' '.join(chosen)}")
        _say_what_is_unseen(config, source.dim)
        if not engine.run(task, engine.Session.of(config, record)):
            return
        save_network(task.network, directory / "model.safetensors")
        console.print("bounding: certificate, transport, held-out samples")
        results = evaluate_critic(config, task, directory)
        results["seconds"] = round(time.monotonic() - began, 3)
        write_json(directory / "results.json", results)
        draw_all(directory / "figures", task, _describe(config))
    _show(config, results, directory)


def build_task(
    config: EstimateWassersteinConfig, source: Source, device: torch.device
) -> CriticTask:
    """The task of a configuration, ready to train; what it leaves open is chosen."""
    config.fit(source.dim, source.finite)
    if isinstance(config.model, ExtensionModel):
        return ExtensionTask(source, device, config)
    task = make_task(
        source, device, config, norm=config.norm, training=config.training, seed=config.seed
    )
    set_threads(config.threads, task.network)
    return task


def evaluate_critic(
    config: EstimateWassersteinConfig, task: CriticTask, directory: Path
) -> dict[str, Any]:
    """All bounds that the trained critic and the samples give, as ``results.json`` holds them."""
    source, chosen, norm, seed = task.source, config.evaluation, config.norm, config.seed
    alpha = 1 - config.confidence
    model = directory / "model.safetensors"
    critic = SavedCritic.of(load_network(model), norm)
    compared = source.compared(chosen.points, stream(seed, COMPARED))
    f_x, f_y = critic.values(compared.x), critic.values(compared.y)
    lower = found.critic_lower(critic, f_x, f_y, compared)
    results = _of_training(task) | {"lipschitz_bound": critic.lipschitz, "norm": norm}
    if chosen.certificate and (value := _certified(task, compared, directory)) is not None:
        results["certified_value"] = value
    everything = [lower]

    def announce(done: int, blocks: int) -> None:
        console.print(f"transport: block {done}/{blocks}")

    upper, exact = found.sample_transport(
        compared, norm, chosen.transport_points, stream(seed, EXTRA),
        announce if source.finite else None, task.known(compared),
    )  # fmt: skip
    everything += upper
    if exact is not None:
        results["transport_width"] = exact.width
    if exact is not None and len(exact.dual_x) > 1 and f_x[0].std() > 0 and exact.dual_x.std() > 0:
        correlation = np.corrcoef(f_x[0], exact.dual_x)[0, 1]
        results["dual_correlation"] = float(correlation)

    held_out = source.held_out(chosen.confidence_points, stream(seed, HELD_OUT))
    if held_out is not None:
        # Its range on points of training: fixed before any held-out point is looked at.
        seen = task.seen(5000, stream(seed, EXTRA))
        everything += found.confidence_lower(critic, seen, held_out, alpha)
    diameters = source.diameters(norm)
    if diameters is not None:
        sizes = (len(compared.x), len(compared.y))
        everything.append(found.population_upper(upper[0], diameters, sizes, alpha))
    if chosen.sinkhorn is not None and exact is None:
        warn("no Sinkhorn value: the samples exceed evaluation.transport_points")
    elif chosen.sinkhorn is not None:
        everything.append(found.sinkhorn_value(compared, norm, chosen.sinkhorn))
    if chosen.sliced:
        everything.append(found.sliced_value(compared, chosen.sliced, stream(seed, EXTRA)))

    return {**results, **_entries(lower, upper[0], everything, chosen.bound)}


def _of_training(task: CriticTask) -> dict[str, Any]:
    """What is known of the training and its source, whatever the critic is worth."""
    source, about = task.source, "a training sample"
    value = Bound("value", task.lower, "empirical", f"the critic's value on {about}", about)
    results: dict[str, Any] = {
        "estimate": value.entry(),
        "steps": task.at.step,
        "train_seconds": round(task.at.seconds, 3),
        "parameters": parameter_count(task.network),
    }
    if task.stopped:
        results["stopped_by"] = task.stopped
    if source.truth is not None:
        results["true"] = source.truth
        # Fresh points are drawn of a pair; of finite samples it is their own that is known.
        results["true_about"] = found.SAMPLES if source.finite else found.POPULATIONS
    if "shift" in source.fingerprint:
        results["shift"] = source.fingerprint["shift"]
    return results


def _entries(lower: Bound, upper: Bound, everything: list[Bound], quoted: str) -> dict[str, Any]:
    """All bounds as ``results.json`` holds them; the ``quoted`` ones have names of their own."""
    results: dict[str, Any] = {"lower_bound": lower.entry(), "upper_bound": upper.entry()}
    for kind in ("lower", "upper"):
        fitting = [b for b in everything if b.about == found.POPULATIONS and b.kind == kind]
        for bound in [b for b in fitting if b.method.startswith(quoted)][:1] or fitting[:1]:
            results[f"population_{kind}_bound"] = bound.entry()
    results["bounds"] = [bound.entry() for bound in everything]
    return results


def _certified(task: CriticTask, compared: Measures, directory: Path) -> float | None:
    """The value of the certificate, which is written unless the samples are too many."""
    shift = task.source.fingerprint.get("shift")
    moved = ""
    if shift is not None:
        moved = f", less {', '.join(map(repr, shift[:8]))}" + (", ..." if len(shift) > 8 else "")
    model, name = directory / "model.safetensors", task.source.name + moved
    rows = "distribution.rows"
    return found.certificate_if_small(directory, model, compared, task.norm, name, rows)


def _describe(config: EstimateWassersteinConfig) -> str:
    if isinstance(config.model, ExtensionModel):
        return f"{config.distribution.name}: extension of up to {config.model.centres:,} centres"
    return f"{config.distribution.name}: {network_text(config)}"


def _headline(config: EstimateWassersteinConfig, source: Source) -> str:
    known = "" if source.truth is None else f", true distance {source.truth:.6g}"
    metric, dual = NAMES[config.norm], NAMES[DUAL[config.norm]]
    return (
        f"{_describe(config)}; dimension {source.dim}{known}; ground metric {metric} "
        f"(the critic's gradient has {dual} norm at most 1)"
    )


def _say_what_is_unseen(config: EstimateWassersteinConfig, dim: int) -> None:
    """Warn of a first layer that keeps only a part of what tells points apart."""
    widths = getattr(config.model, "widths", [])
    if config.norm == "l2" and isinstance(config.model, MlpModel) and widths and widths[0] < dim:
        share = at_most((widths[0] / dim) ** 0.5, 2)
        warn(
            f"model.widths: a first layer of {widths[0]} rows keeps at first {share} of a distance "
            f"in {dim} dimensions, and what it never learns to see is missing from every lower "
            "bound; model.widths=auto is as wide as the data"
        )


def _notes(results: dict[str, Any]) -> list[str]:
    """How the figures of the table are to be read together."""
    found = []
    if sum(bound["evidence"].startswith("confidence") for bound in results["bounds"]) > 1:
        found.append(
            "Each confidence bound holds with its confidence by itself, not all of them jointly"
        )
    if "true" in results:
        found.append(f"True distance of {results['true_about']}: {results['true']:.6g}")
        lower = results["lower_bound"]
        if results["true"] > 0:
            share = at_least(lower["value"] / results["true"], 5)
            found[-1] += (
                f"; the proven lower bound, which is of {lower['about']}, "
                f"is at least {share} times that"
            )
    return found


def _show(config: EstimateWassersteinConfig, results: dict[str, Any], directory: Path) -> None:
    for line in verdict(config.distribution, results):
        console.print(line, style="bold", soft_wrap=True)
    header = ["about", "figure", "value", "evidence", "method"]
    bounds = [results["estimate"], *results["bounds"]]
    rows = [(one["about"], *directed(one), one["evidence"], one["method"]) for one in bounds]
    show_table(header, rows, left={*header} - {"value"})
    for line in _notes(results):
        console.print(line)
    console.print(
        f"{plural(results['steps'], 'step')} in {results['train_seconds']:.1f} s; "
        "Lipschitz constant of the critic at most "
        f"{at_most(results['lipschitz_bound'], 9)} (proven)"
    )
    results_line("Results", directory, "results.json", "figures/")
    if "certified_value" in results:
        follow_up("lipsort", "verify", directory / "certificate.json")
