"""Runs made by hand, for reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from lipsort_cli.reports.build import Report, build_report
from lipsort_cli.verifier.format import content_digest


def make_run(
    directory: Path,
    *,
    command: str = "train",
    status: str = "finished",
    start: str = "2026-01-01T10:00:00+00:00",
    results: dict[str, Any] | None = None,
    log: list[dict[str, Any]] | None = None,
    **config: Any,
) -> Path:
    """A run directory as the commands leave them; ``a__b=1`` is the key ``a.b``."""
    nested: dict[str, Any] = {"seed": 0, "activation": {"name": "maxmin"}, "model": {"name": "mlp"}}
    for key, value in config.items():
        node = nested
        *parents, last = key.split("__")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra/config.yaml").write_text(yaml.safe_dump(nested))
    (directory / ".hydra/hydra.yaml").write_text(
        yaml.safe_dump({"hydra": {"job": {"name": command}}})
    )
    record = {"command": command, "status": status, "start": start, "seconds": 1.5, "pid": 0}
    (directory / "run.json").write_text(json.dumps(record))
    if results is not None:
        (directory / "results.json").write_text(json.dumps(results))
    lines = "".join(json.dumps(line) + "\n" for line in log or [])
    (directory / "metrics.jsonl").write_text(lines + '{"cut sho')
    return directory


def issued(directory: Path, certificate: dict[str, Any]) -> None:
    certificate["digest"] = content_digest(certificate)
    (directory / "certificate.json").write_text(json.dumps(certificate))


def trained(certified: float, clean: float = 0.9) -> dict[str, Any]:
    return {
        "clean_accuracy": clean,
        "evidence": {"clean_accuracy": "empirical", "lipschitz_bound": "proven"},
        "certified_accuracy": {
            "norm": "l2",
            "eps": {"0.5": certified, "1.58": certified / 2},
            "evidence": "proven",
            "arithmetic": "binary32",
            "points": 100,
        },
        "lipschitz_bound": 1.00000012,
        "parameters": 1234,
        "train_seconds": 2.5,
    }


def tables(*arguments: Any, **options: Any) -> Report:
    """A report without pictures, which take all the time."""
    return build_report(*arguments, pictures=False, **options)


def sweep_of(folder: Path) -> Path:
    """Two activations and two seeds."""
    for job, (activation, seed, value) in enumerate(
        [("relu", 0, 0.5), ("relu", 1, 0.6), ("maxmin", 0, 0.8), ("maxmin", 1, 0.84)]
    ):
        log = [
            {"epoch": 0, "step": s, "split": "train", "loss": 3.0 / s + seed} for s in (10, 20, 30)
        ]
        make_run(
            folder / str(job), results=trained(value), log=log, seed=seed,
            activation__name=activation, training__log_every=job,
        )  # fmt: skip
    return folder
