"""`lipsort inspect RUN...`: looks inside networks; pictures and figures, each with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lipsort_cli.certificates.files import NETWORK
from lipsort_cli.certificates.points import (
    issued_bounds,
    issued_routes,
    load_network,
    route_constant,
)
from lipsort_cli.certificates.predictions import behind_scale, divides_first
from lipsort_cli.commands.earlier import write_result
from lipsort_cli.config.certificates import InspectConfig
from lipsort_cli.console import apart, console, follow_up, located, plural, results_line
from lipsort_cli.inspection import steepness, words
from lipsort_cli.inspection.diagnostics import SPLIT
from lipsort_cli.inspection.measure import (
    Measured,
    alignment,
    entries,
    is_image,
    measure,
    smoothness,
)
from lipsort_cli.inspection.pictures import draw_all
from lipsort_cli.reports.found import Run, collect, log_of
from lipsort_cli.reports.rows import compare
from lipsort_cli.runs import read_record
from lipsort_cli.trained import CLASSIFIERS, fitting, judged_on, run_config, run_data
from lipsort_cli.verifier.graph import Network
from lipsort_cli.zoo.plain import plain_module

_LONG = 60
"""Characters of a network's name that a picture has room for."""
_TELLING = ("model", "activation", "constraint", "loss", "training.adversarial.eps")
"""Settings that name networks which differ in much else; folders do where these are the same."""


class Subject(NamedTuple):
    """A run's network with the points it is looked at; ``labels`` None for a critic."""

    directory: Path
    network: nn.Sequential
    inputs: Tensor
    labels: Tensor | None
    norm: str
    constants: dict[str, float]
    """Proven bounds of the network's constant in ``norm``, by the norm that layers are bounded in.
    """
    per_deviation: float | None
    """The least such bound where inputs count in standard deviations, by which it divides first."""
    layers: list[tuple[str, float]]
    """Operation and constant of every layer, in ``norm``."""


def run(config: InspectConfig, directory: Path) -> None:
    """Inspect ``config.run`` beside ``config.runs``; writes into ``directory``."""
    folders = list(dict.fromkeys([config.run, *config.runs]))
    names = _names([Path(folder) for folder in folders])
    subjects = {name: _open(Path(f), config) for name, f in zip(names, folders, strict=True)}
    measured: dict[str, Measured] = {}
    for name, subject in subjects.items():
        points = plural(len(subject.inputs), "point")
        console.print(f"measuring {name}: {points}, {located(subject.directory)}", soft_wrap=True)
        measured[name] = measure(subject.network, subject.inputs, subject.labels, subject.norm)
    logs = {name: _log(subject.directory) for name, subject in subjects.items()}
    first = names[0]
    about = {
        name: {
            "constant": words.of_constants(subject.norm, subject.constants, subject.per_deviation),
            "lipschitz": _steepness(subject),
        }
        | _about(measured[name], logs[name])
        for name, subject in subjects.items()
    }
    gradients = _input_gradients(measured)
    result = {"points": len(subjects[first].inputs), **about[first], "input_gradients": gradients}
    if len(names) > 1:
        result["compared"] = [
            {"name": name, "run": str(subjects[name].directory), **about[name]} for name in names
        ]
    write_result(directory / "inspect.json", result, config)
    captions = _captions(subjects[first], config.pictures)
    drawn = draw_all(directory / "figures", measured, logs, captions)
    result["figures"] = [f"figures/{name}" for name in drawn]
    write_result(directory / "inspect.json", result, config)
    _show(about, gradients, drawn, subjects, directory)


# --- runs -------------------------------------------------------------------------------------


def _open(directory: Path, config: InspectConfig) -> Subject:
    command = str(read_record(directory)["command"])
    path = directory / (NETWORK if command != "wgan" else "critic.safetensors")
    network = load_network(path)
    if command in CLASSIFIERS:
        own, dataset = judged_on(directory, config.data)
        inputs, labels = map(torch.from_numpy, fitting(dataset, network, config.points))
        norm = own.evaluation.norm
    elif command == "estimate-wasserstein":
        from lipsort_cli.gan.runs import open_critic

        rows = open_critic(directory).rows(config.points)
        inputs, labels, norm = torch.from_numpy(rows), None, run_config(directory, command).norm
    else:
        own = run_config(directory, command)
        inputs = run_data(directory, own.data).test.inputs[: config.points]
        labels, norm = None, own.norm
    chosen = config.norm or norm
    bounds = issued_bounds(network, chosen)
    return Subject(
        directory,
        plain_module(network),
        inputs.float().reshape(len(inputs), *network.input_shape),
        labels,
        chosen,
        _constants(network, chosen),
        min(_constants(behind_scale(network), chosen).values()) if divides_first(network) else None,
        [(bound.op, bound.value) for bound in bounds],
    )


def _steepness(subject: Subject) -> dict[str, Any]:
    operations, bounds = zip(*subject.layers, strict=True)
    found = steepness.steepness(subject.network, subject.inputs, subject.norm)
    return steepness.entry(found, min(subject.constants.values()), bounds, operations)


def _constants(network: Network, norm: str) -> dict[str, float]:
    return {route.name: route_constant(network, route, norm) for route in issued_routes(network)}


def _names(folders: list[Path]) -> list[str]:
    """A short name for each run: the settings in which all differ, or else where it lies."""
    if len(folders) == 1:
        return [folders[0].name]
    found: dict[Path, str] = {}
    runs = [one for folder in folders for one in _runs(folder)]
    for command in dict.fromkeys(run.command for run in runs):
        own = [run for run in runs if run.command == command]
        rows = compare(command, own, pool=()).rows
        if any(len(row.name) > _LONG for row in rows):
            rows = compare(command, own, group=_TELLING, pool=()).rows
        for row in rows:
            if len(row.runs) == 1 and len(row.name) <= _LONG:
                found[row.runs[0].directory.resolve()] = row.name
    names = [found.get(folder.resolve(), "") for folder in folders]
    return names if all(names) and len(set(names)) == len(names) else apart(folders)


def _runs(folder: Path) -> list[Run]:
    own = str(read_record(folder)["command"])
    return [run for run in collect([folder], [own])[0] if run.directory == folder]


def _log(directory: Path) -> list[dict[str, Any]]:
    lines = [one for one in log_of(directory) if one.get("split") == SPLIT]
    needed = ("gradient_kept", "jacobian_sigma_mean")
    return [one for one in lines if all(isinstance(one.get(key), int | float) for key in needed)]


def _captions(subject: Subject, pictures: int) -> list[str]:
    if subject.labels is None:
        return [f"point {index}" for index in range(min(pictures, len(subject.inputs)))]
    return [f"class {label}" for label in subject.labels[:pictures].tolist()]


# --- what is found ----------------------------------------------------------------------------


def _about(measured: Measured, log: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one network, each with its sentence."""
    found = entries(measured)
    for key, sentence in (
        ("layers", words.of_layers),
        ("jacobian", words.of_jacobian),
        ("gradient_norm", words.of_gradient),
        ("activations", words.of_activations),
    ):
        found[key]["interpretation"] = sentence(measured)
    if len(log) > 1:
        steps = {key: [line.get(key) for line in log] for key in log[-1] if key != "split"}
        found["over_training"] = {
            "evidence": "empirical",
            "steps": steps,
            "interpretation": words.of_training(log),
        }
    else:
        found["over_training"] = None
    return found


def _input_gradients(measured: dict[str, Measured]) -> dict[str, Any]:
    """Alignment and, of pictures, smoothness of the input gradients of every network."""
    aligned, smooth = [], []
    for one in measured.values():
        aligned.append(_mean(alignment(one.gradients, one.inputs)))
        smooth.append(_mean(smoothness(one.gradients)) if is_image(one.inputs) else np.nan)
    pictures = bool(np.isfinite(smooth).all())
    by_run = [
        {"name": name, "alignment": a, **({"smoothness": s} if pictures else {})}
        for name, a, s in zip(measured, aligned, smooth, strict=True)
    ]
    return {
        "evidence": "empirical",
        **{key: value for key, value in by_run[0].items() if key != "name"},
        "by_run": by_run,
        "interpretation": words.of_input_gradients(
            list(measured), np.array(aligned), np.array(smooth) if pictures else None
        ),
    }


def _mean(values: Any) -> float:
    """Mean of what is finite; 0 where no gradient is left to look at."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else 0.0


def _show(
    about: dict[str, dict[str, Any]],
    gradients: dict[str, Any],
    drawn: list[str],
    subjects: dict[str, Subject],
    directory: Path,
) -> None:
    titles = {
        "constant": "Constant",
        "lipschitz": "Steepness",
        "layers": "Layers",
        "jacobian": "Jacobian",
        "gradient_norm": "Gradient",
        "activations": "Activations",
        "over_training": "Over training",
    }
    for name, found in about.items():
        if len(about) > 1:
            console.print(name, style="bold")
        for key, title in titles.items():
            console.print(f"{title}: {_sentence(found[key])}")
    console.print(f"Input gradients: {gradients['interpretation']}")
    console.print(
        "All of this but what is proven is empirical: measured at these points in floating point."
    )
    results_line("Results", directory, "inspect.json", f"figures/: {', '.join(drawn)}")
    follow_up("lipsort", "report", *(subject.directory for subject in subjects.values()))


def _sentence(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return (
            "nothing was logged; `lipsort train training.diagnostics_every=50` logs Jacobian, "
            "gradient norms and active units of a classifier while it is trained."
        )
    return str(entry["interpretation"])
