"""The last line of a sweep: what became of its jobs, wherever a launcher ran them."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lipsort_cli.console import follow_up, results_line
from lipsort_cli.errors import LipsortError
from lipsort_cli.runs import RECORD, read_record


class Farewell(Callback):
    """Hydra's callback: says where the jobs of a sweep lie and how they ended."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print one line; nothing where no job left a record."""
        folder = Path(str(config.hydra.sweep.dir))
        found = statuses(folder)
        if found:
            listed = ", ".join(f"{count} {status}" for status, count in found.items())
            results_line("Sweep", folder, f"{sum(found.values())} jobs: {listed}")
            follow_up("lipsort", "report", folder)


def statuses(folder: Path) -> dict[str, int]:
    """How many jobs of a sweep ended in each way, the most frequent first."""
    found: Counter[str] = Counter()
    for path in sorted(folder.glob(f"*/{RECORD}")):
        with contextlib.suppress(LipsortError):
            found[str(read_record(path.parent)["status"])] += 1
    return dict(found.most_common())
