"""`lipsort wgan`: trains a Wasserstein GAN with a Lipschitz critic; says how good it is."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from lipsort_cli.certificates.points import lipschitz_bound, load_network
from lipsort_cli.config.wgan import WganConfig
from lipsort_cli.console import console, follow_up, plural, results_line
from lipsort_cli.data import Dataset, load
from lipsort_cli.directed_text import at_most
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import write_json
from lipsort_cli.gan.critics import Critic, make_critic
from lipsort_cli.gan.evaluation import check, evaluate
from lipsort_cli.gan.figures import draw_training
from lipsort_cli.gan.training import GanTask
from lipsort_cli.norms import NAMES
from lipsort_cli.runs import RunRecord
from lipsort_cli.training import engine
from lipsort_cli.training.device import parameter_count, resolve_device, set_threads
from lipsort_cli.zoo import save_network
from lipsort_cli.zoo.generators import build_generator, save_generator


def run(config: WganConfig, directory: Path) -> None:
    """Train in the run directory ``directory``; go on with it where it holds a checkpoint."""
    began = time.monotonic()
    device = resolve_device(config.device)
    dataset = load(config.data)
    check(dataset, config.evaluation)
    about = {"device": str(device), "data": dataset.fingerprint}
    with RunRecord.recording(directory, "wgan", config=config, **about) as record:
        task = build_task(config, dataset, device, directory)
        console.print(_headline(config, task))
        if not engine.run(task, engine.Session.of(config, record)):
            return
        generator = task.average.generator
        save_generator(directory / "generator.safetensors", generator, config.generator)
        results = _results(config, task, directory)
        console.print("judging the generator")
        found = evaluate(generator, dataset, config.evaluation, directory, config.seed)
        results["quality"] = found.quality
        results["seconds"] = round(time.monotonic() - began, 3)
        write_json(directory / "results.json", results)
        title = f"{dataset.name}: {config.generator.name}, critic {config.critic.name}"
        known = task.critic.known is not None
        draw_training(directory / "figures" / "training.png", task.history, known, title)
        task.film.finish()
    found.show()
    _show(results, directory)


def build_task(
    config: WganConfig, dataset: Dataset, device: torch.device, directory: Path
) -> GanTask:
    """Both networks and their optimizers, ready to train."""
    inputs = dataset.train.inputs
    centre = inputs.mean(0)
    spread = math.sqrt(float((inputs - centre).flatten(1).square().sum(1).mean()))
    # Seeded before anything random exists: the weights are drawn next.
    torch.manual_seed(config.seed)
    generator = build_generator(
        config.generator,
        dataset.input_shape,
        bounds=dataset.training_bounds,
        centre=centre,
        spread=spread / math.sqrt(centre.numel()),
    ).to(device)
    critic = make_critic(config, dataset.input_shape, centre=centre, spread=spread, device=device)
    set_threads(config.threads, generator, critic.network)
    return GanTask(config, dataset, generator, critic, device, directory)


def critic_constant(critic: Critic, directory: Path) -> float | None:
    """A proven bound of the critic's constant in its metric, from its saved weights; None: unknown.

    The critic is saved as ``critic.safetensors`` on the way.
    """
    path = directory / "critic.safetensors"
    try:
        save_network(critic.plain(), path)
        return lipschitz_bound(load_network(path), critic.norm).value
    except (LipsortError, TypeError):
        return None  # an operation that certificates do not know


def _results(config: WganConfig, task: GanTask, directory: Path) -> dict[str, Any]:
    latest = task.latest
    results: dict[str, Any] = {
        "critic": config.critic.name,
        "generator": config.generator.name,
        "critic_gap": {
            "value": latest["critic_gap"],
            "evidence": "empirical",
            "about": "minibatches at the end of training",
            "method": "mean critic on data less mean critic on generated samples",
        },
        "gradient_norm": {
            "mean": latest["gradient_norm"],
            "largest": latest["gradient_norm_largest"],
            "evidence": "empirical",
            "about": "points between a minibatch and generated samples",
        },
        "steps": task.at.step,
        "critic_steps": task.at.step * config.critic.steps,
        "train_seconds": round(task.at.seconds, 3),
        "parameters": {
            "generator": parameter_count(task.generator),
            "critic": parameter_count(task.critic.network),
        },
    }
    if "w1_lower" in latest:
        results["distance"] = {
            "kind": "lower",
            "value": latest["w1_lower"],
            "norm": task.critic.norm,
            "evidence": "empirical",
            "about": "minibatches at the end of training",
            "method": "the critic's gap over its constant by construction",
        }
    constant = critic_constant(task.critic, directory)
    if constant is not None:
        results["lipschitz_bound"] = constant
        results["evidence"] = {"lipschitz_bound": "proven"}
    return results


def _headline(config: WganConfig, task: GanTask) -> str:
    sizes = [parameter_count(network) for network in (task.generator, task.critic.network)]
    dataset, training = task.dataset, config.training
    limit = "" if training.seconds is None else f" or {training.seconds:g} s"
    return (
        f"generator {config.generator.name}, {sizes[0]:,} parameters; critic "
        f"{config.critic.name}, {sizes[1]:,}; {dataset.name}: "
        f"{len(dataset.train):,} training examples of shape {list(dataset.input_shape)}; "
        f"{plural(training.steps, 'step')}{limit} on {task.device} in {task.dtype}"
    ).replace("torch.", "")


def _show(results: dict[str, Any], directory: Path) -> None:
    slope = results["gradient_norm"]
    if "distance" in results:
        found = results["distance"]
        text = f"Minibatches: W1 in {NAMES[found['norm']]} >= {found['value']:.4g} (empirical)"
    else:
        text = f"Critic value {results['critic_gap']['value']:.4g} (empirical; no distance)"
    text += f"; critic's slope {slope['mean']:.3g}, at most {slope['largest']:.3g} seen (empirical)"
    if "lipschitz_bound" in results:
        text += f"; its constant at most {at_most(results['lipschitz_bound'], 6)} (proven)"
    console.print(text)
    console.print(
        f"{results['steps']:,} generator and {results['critic_steps']:,} critic steps in "
        f"{results['train_seconds']:.1f} s"
    )
    results_line("Results", directory, "generator.safetensors", "results.json",
                 "figures/samples.png", "figures/film.gif")  # fmt: skip
    if (directory / "certificate.json").is_file():
        follow_up("lipsort", "verify", directory / "certificate.json")
    follow_up("lipsort", "estimate-wasserstein", "distribution=generator",
              ("distribution.run", directory))  # fmt: skip
