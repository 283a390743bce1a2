"""The end of a sweep of `lipsort wgan`: every measure of every job, and samples side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lipsort_cli.figures.style import COLOURS, drawing, picture

_SHOWN = 14
"""Samples of each job in the picture."""


class Summary(Callback):
    """Hydra's callback: compares the jobs of a sweep when the last one has ended."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print the table; write ``comparison.json`` and ``comparison.png`` into the sweep."""
        summarise(Path(str(config.hydra.sweep.dir)))


def summarise(folder: Path) -> list[dict[str, Any]]:
    """Rows of the jobs under ``folder`` that finished; prints and draws them."""
    rows = collect(folder)
    if not rows:
        return rows
    from lipsort_cli.console import console
    from lipsort_cli.runs import write_json

    write_json(folder / "comparison.json", rows)
    _print(rows)
    _draw(folder / "comparison.png", rows)
    console.print(
        f"Comparison: {folder} (comparison.json, comparison.png); one folder a job", markup=False
    )
    return rows


def collect(folder: Path) -> list[dict[str, Any]]:
    """One row for each set of overrides, means over seeds, in the order of the jobs.

    A row holds ``name``, ``jobs``, ``steps``, ``train_seconds``, ``folder`` (of the first job) and
    ``measures``: the generator's value, the data's own, which is better, and the evidence.
    """
    found: list[tuple[set[str], dict[str, Any], Path]] = []
    for path in sorted(folder.glob("*/results.json"), key=lambda p: (len(p.parent.name), p)):
        saved = path.parent / ".hydra" / "overrides.yaml"
        results = json.loads(path.read_text(encoding="utf-8"))
        if saved.is_file() and "quality" in results:
            overrides = [str(text) for text in OmegaConf.load(saved)]
            given = {text for text in overrides if not text.startswith("seed=")}
            found.append((given, results, path.parent))
    # What every job was given tells none of them apart.
    shared = set.intersection(*(given for given, *_ in found)) if len(found) > 1 else set()
    groups: dict[str, list[tuple[dict[str, Any], Path]]] = {}
    for given, results, place in found:
        name = " ".join(sorted(given - shared)) or "defaults"
        groups.setdefault(name, []).append((results, place))
    return [_row(name, jobs) for name, jobs in groups.items()]


def _row(name: str, jobs: list[tuple[dict[str, Any], Path]]) -> dict[str, Any]:
    results = [job for job, _ in jobs]
    measures = {}
    for key, first in results[0]["quality"]["measures"].items():
        entries = [job["quality"]["measures"].get(key) for job in results]
        if any(entry is None for entry in entries):
            continue
        values = [float(entry["generated"]["value"]) for entry in entries]
        measures[key] = {
            "title": first.get("title", key),
            "value": sum(values) / len(values),
            "range": max(values) - min(values),
            "data": first.get("data", {}).get("value"),
            "better": first.get("better"),
            "evidence": first["evidence"],
        }
    return {
        "name": name,
        "jobs": len(jobs),
        "steps": sum(job["steps"] for job in results) / len(jobs),
        "train_seconds": sum(job["train_seconds"] for job in results) / len(jobs),
        "folder": str(jobs[0][1]),
        "measures": measures,
    }


def best(rows: list[dict[str, Any]], key: str) -> set[str]:
    """Names of the rows whose value of a measure is the best one; empty where none is better."""
    entries = [(row["name"], row["measures"][key]) for row in rows if key in row["measures"]]
    direction = entries[0][1]["better"]
    if direction not in ("lower", "higher"):
        return set()
    values = [entry["value"] for _, entry in entries]
    target = min(values) if direction == "lower" else max(values)
    return {name for name, entry in entries if entry["value"] == target}


def _short(name: str) -> str:
    """``critic=gp`` as ``gp``; anything else as it is."""
    head, equals, tail = name.partition("=")
    return tail if equals and head == "critic" and " " not in name else name


def _print(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    from lipsort_cli.console import console

    table = Table(title="Generators, by job", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("measure")
    for row in rows:
        table.add_column(_short(row["name"]), justify="right")
    table.add_column("data", justify="right")
    keys = list(dict.fromkeys(key for row in rows for key in row["measures"]))
    for key in keys:
        entry = next(row["measures"][key] for row in rows if key in row["measures"])
        sign = {"lower": " ↓", "higher": " ↑"}.get(entry["better"], "")
        winners = best(rows, key)
        cells = []
        for row in rows:
            if key not in row["measures"]:
                cells.append("")
                continue
            cells.append(
                f"{row['measures'][key]['value']:.4g}" + ("*" if row["name"] in winners else "")
            )
        data = "" if entry["data"] is None else f"{entry['data']:.4g}"
        evidence = "" if entry["evidence"] == "empirical" else f" ({entry['evidence']})"
        table.add_row(f"{entry['title']}{sign}{evidence}", *cells, data)
    table.add_row("generator steps", *(f"{row['steps']:.0f}" for row in rows), "")
    table.add_row("training, s", *(f"{row['train_seconds']:.0f}" for row in rows), "")
    console.print(table)
    if rows[0]["jobs"] > 1:
        console.print(f"Means over {rows[0]['jobs']} jobs each", markup=False)
    console.print(
        "* the best of a line; arrows: which way is better; data: the training set against the\n"
        "test set, by the same measure; evidence: empirical where nothing else is said",
        markup=False,
    )


@drawing
def _draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Samples of every job, a line each."""
    from lipsort_cli.gan.film import tiled
    from lipsort_cli.gan.generators import load_generator, sample

    with picture(path, width=8.0, height=0.5 + 0.62 * len(rows)) as (figure, axes):
        samples = [
            sample(load_generator(Path(row["folder"]) / "generator.safetensors"), 1000, 0)
            for row in rows
        ]
        if samples[0].dim() == 4:
            axes.remove()
            for place, (row, images) in enumerate(zip(rows, samples, strict=True)):
                line = figure.add_subplot(len(rows), 1, place + 1)
                line.imshow(tiled(images[:_SHOWN], _SHOWN), interpolation="nearest")
                line.set(xticks=[], yticks=[])
                line.set_ylabel(_short(row["name"]), rotation=0, ha="right", va="center")
                line.spines[:].set_visible(False)
        else:
            axes.remove()
            figure.set_size_inches(2.6 * len(rows), 3.0)
            for place, (row, points) in enumerate(zip(rows, samples, strict=True)):
                panel = figure.add_subplot(1, len(rows), place + 1)
                flat = points.flatten(1).numpy()
                panel.scatter(flat[:, 0], flat[:, min(1, flat.shape[1] - 1)], s=2, c=COLOURS[0])
                panel.set_title(_short(row["name"]))
                panel.set_aspect("equal")
        figure.suptitle("Generated samples, by job (not selected: the first of each)", fontsize=10)
