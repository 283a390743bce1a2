"""The end of a sweep: how close each critic came, as a table, a file and a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf


class Summary(Callback):
    """Hydra's callback: compares the jobs of a sweep when the last one has ended."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print the table; write ``comparison.json`` and ``comparison.png`` into the sweep."""
        summarise(Path(str(config.hydra.sweep.dir)))


def summarise(folder: Path) -> list[dict[str, Any]]:
    """Rows of the jobs under ``folder`` that finished, best first; prints and draws them."""
    rows = collect(folder)
    if not rows:
        return rows
    from rich.table import Table

    from lipsort_cli.console import console
    from lipsort_cli.rounding import at_least
    from lipsort_cli.runs import write_json
    from lipsort_cli.wasserstein.figures import draw_comparison

    table = Table(title="Proven lower bounds of W1, by job")
    for name in ("critic", "jobs", "lower bound", "reference", "share", "train s"):
        table.add_column(name, justify="left" if name == "critic" else "right")
    for row in rows:
        table.add_row(
            row["name"],
            str(row["jobs"]),
            at_least(row["lower"]),
            f"{row['reference']:.6g} ({row['reference_is']})",
            at_least(row["share"], 5),
            f"{row['train_seconds']:.1f}",
        )
    write_json(folder / "comparison.json", rows)
    console.print(table)
    draw_comparison(folder / "comparison.png", [row["name"] for row in rows], rows)
    console.print(
        f"Comparison: {folder} (comparison.json, comparison.png); one folder a job", markup=False
    )
    return rows


def collect(folder: Path) -> list[dict[str, Any]]:
    """One row for each set of overrides, the mean over seeds; best share first.

    The reference is the true distance where it is known, else the upper bound.
    """
    found: list[tuple[set[str], dict[str, Any]]] = []
    for path in sorted(folder.glob("*/results.json")):
        overrides = OmegaConf.load(path.parent / ".hydra" / "overrides.yaml")
        results = json.loads(path.read_text(encoding="utf-8"))
        if "lower_bound" in results and "upper_bound" in results:
            given = {str(o) for o in overrides if not str(o).startswith("seed=")}
            found.append((given, results))
    # What every job was given tells none of them apart.
    shared = set.intersection(*(given for given, _ in found)) if len(found) > 1 else set()
    groups: dict[str, list[dict[str, Any]]] = {}
    for given, results in found:
        groups.setdefault(" ".join(sorted(given - shared)) or "defaults", []).append(results)
    rows = []
    for name, jobs in groups.items():
        true = all("true" in job for job in jobs)
        references = [job["true"] if true else job["upper_bound"]["value"] for job in jobs]
        lowers = [job["lower_bound"]["value"] for job in jobs]
        count = len(jobs)
        shares = [a / b if b > 0 else 1.0 for a, b in zip(lowers, references, strict=True)]
        rows.append(
            {
                "name": name,
                "jobs": count,
                "lower": sum(lowers) / count,
                "reference": sum(references) / count,
                "reference_is": "true" if true else "upper bound",
                "share": sum(shares) / count,
                "train_seconds": sum(job["train_seconds"] for job in jobs) / count,
            }
        )
    return sorted(rows, key=lambda row: -float(row["share"]))
