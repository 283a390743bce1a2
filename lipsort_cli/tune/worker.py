"""A process that trains trials one after the other: ``python -m lipsort_cli.tune.worker``.

As :mod:`lipsort_cli.reproduction.worker`, with one difference: a training is watched, never judged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_yaml
from lipsort_cli.metrics import last_figures, read_log
from lipsort_cli.reproduction import worker
from lipsort_cli.training import engine

Ask = Callable[[dict[str, Any]], bool]


class Watch(engine.Trial):
    """Asks, whenever the figure ``key`` is logged, whether that is good enough to go on."""

    def __init__(self, key: str | None, ask: Ask) -> None:
        self.key, self.ask = key, ask

    def told(self, done: float, split: str, values: Mapping[str, Any]) -> None:
        """Stop, if the answer is that."""
        for name, value in values.items():
            if f"{split}.{name}" == self.key and isinstance(value, int | float):
                self.stopped = self.ask({"done": done, "value": float(value)})


def train(job: dict[str, Any], ask: Ask) -> dict[str, Any]:
    """Train one trial; its answer's status is complete, pruned, failed or interrupted."""
    watch = Watch(job.get("watched"), ask)
    token = engine.TRIAL.set(watch)
    try:
        answer = worker.serve(job)
    finally:
        engine.TRIAL.reset(token)
    if answer["status"] == "interrupted" and (watch.trained or watch.stopped):
        answer["status"] = "complete" if watch.trained else "pruned"
    answer["figures"] = _figures(Path(job["directory"]))
    return answer


def _figures(directory: Path) -> dict[str, float]:
    """What was last logged of the weights that a training ends with: with ``training.keep=best``
    those of the first epoch of the best accuracy."""
    log = directory / "metrics.jsonl"
    found = last_figures(log)
    with suppress(LipsortError, KeyError, TypeError):  # one that never began, or keeps no such
        if read_yaml(directory / ".hydra" / "config.yaml")["training"]["keep"] == "best":
            lines = [line for line in read_log(log) if line.get("split") == "validation"]
            best = max(lines, key=lambda line: float(line["accuracy"]), default={})
            found |= {f"validation.{n}": v for n, v in best.items() if f"validation.{n}" in found}
    return found


def _serve(job: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    def ask(report: dict[str, Any]) -> bool:
        answers.write(json.dumps({"report": report}) + "\n")
        answers.flush()
        line = sys.stdin.readline()
        if not line:  # nobody is left to tell
            raise KeyboardInterrupt
        return bool(json.loads(line)["stop"])

    return train(job, ask)


if __name__ == "__main__":
    sys.exit(worker.main(_serve))
