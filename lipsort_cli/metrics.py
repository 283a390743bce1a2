"""``metrics.jsonl``: the log of a run, which survives kills and resumes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lipsort_cli.files import write_atomic, write_error


class MetricsLog:
    """``metrics.jsonl``: one JSON object a logged step.

    Every line holds ``epoch``, ``step``, ``split`` and named values; a value that is no finite
    number is written as null. With ``resume_at``, an existing file keeps its lines up to that
    step and loses the rest, which the resumed run writes again; without, it is started afresh.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None) -> None:
        self.path = Path(path)
        if resume_at is not None and self.path.exists():
            write_atomic(self.path, "".join(self._kept(resume_at)))
        else:
            write_atomic(self.path, "")
        try:
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise write_error(self.path, error) from error

    def _kept(self, resume_at: int) -> Iterator[str]:
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line that a kill cut short
            if isinstance(entry, dict) and entry.get("step", resume_at + 1) <= resume_at:
                yield line + "\n"

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
