"""``metrics.jsonl``: the log of a run, which survives kills and resumes."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_lines, write_atomic, write_error


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log that are whole, and have a step: a kill may have cut the last one short.

    Raises:
        LipsortError: there is no such file, or it cannot be read.
    """
    lines = []
    for line in read_lines(path):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        step = entry.get("step") if isinstance(entry, dict) else None
        if isinstance(step, int | float) and math.isfinite(step):
            lines.append(entry)
    return lines


def last_figures(path: Path) -> dict[str, float]:
    """The last of each figure in a log, by ``SPLIT.NAME``; none where it cannot be read."""
    found: dict[str, float] = {}
    with contextlib.suppress(LipsortError):
        for entry in read_log(path):
            for name, value in entry.items():
                if name not in ("epoch", "step") and isinstance(value, int | float):
                    found[f"{entry.get('split')}.{name}"] = float(value)
    return found


class MetricsLog:
    """``metrics.jsonl``: one JSON object a logged step.

    Every line holds ``epoch``, ``step``, ``split`` and named values; a value that is no finite
    number is written as null. With ``resume_at``, an existing file keeps its lines up to that
    step and loses the rest, which the resumed run writes again; without, it is started afresh.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None) -> None:
        self.path = Path(path)
        if resume_at is not None and self.path.exists():
            kept = [entry for entry in read_log(self.path) if entry["step"] <= resume_at]
            write_atomic(self.path, "".join(json.dumps(entry) + "\n" for entry in kept))
        else:
            write_atomic(self.path, "")
        try:
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise write_error(self.path, error) from error

    def log(self, *, epoch: int, step: int, split: str, **values: float | int | str | None) -> None:
        """Append one line, and hand it to the system at once."""
        entry: dict[str, Any] = {"epoch": epoch, "step": step, "split": split}
        for key, value in values.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            entry[key] = value if finite else None
        try:
            self._file.write(json.dumps(entry, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error

    def close(self) -> None:
        """Close the file; logging is over."""
        self._file.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
