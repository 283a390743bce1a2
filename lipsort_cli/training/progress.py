"""How a long run is shown: a live bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lipsort_cli.console import console, is_interactive


class TrainingProgress:
    """Progress over ``total`` steps with the latest values beside it.

    Outside a terminal it prints the same values as plain lines: one at every :meth:`milestone`, at
    most one each ``interval`` seconds, and the last.
    """

    def __init__(
        self, total: int, done: int = 0, unit: str = "step", interval: float = 5.0
    ) -> None:
        self._total, self._unit, self._interval = total, unit, interval
        self._spoken = time.monotonic()
        self._bar: Progress | None = None
        if is_interactive():
            # Narrow terminals get the figures first; the bar takes what is left.
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
                expand=True,
            )
            self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self) -> TrainingProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, text: str) -> None:
        """Show that ``done`` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text)

    def milestone(self, done: int, text: str) -> None:
        """Something worth a line where there is no bar: the end of an epoch."""
        self.update(done, text)
        due = time.monotonic() - self._spoken >= self._interval or done >= self._total
        if self._bar is None and due:
            self._spoken = time.monotonic()
            console.print(f"{self._unit} {done}/{self._total}  {text}")
