"""Where logged values go besides ``metrics.jsonl``, for those who ask for it.

Another tracker is one more class with :class:`Tracker`'s two members, opened in
:func:`open_trackers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lipsort_cli.errors import UsageError


class Tracker(Protocol):
    """What is told every logged line."""

    def log(self, split: str, step: int, values: Mapping[str, Any]) -> None:
        """The values at ``step``; None stands for a value that is not known."""

    def close(self) -> None:
        """Nothing more comes; write what was kept."""


class TensorBoard:
    """Event files under ``tensorboard/`` of a run; what was logged after ``step`` is dropped."""

    def __init__(self, directory: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "tensorboard: found true, but TensorBoard is not installed; "
                "install it with `pip install 'lipsort[tensorboard]'`, or leave it false"
            ) from error
        self._writer = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

    def log(self, split: str, step: int, values: Mapping[str, Any]) -> None:
        """One point of each value."""
        for name, value in values.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Flush."""
        self._writer.close()


def open_trackers(directory: Path, tensorboard: bool, step: int) -> list[Tracker]:
    """Those that are asked for, to go on after ``step``.

    Raises:
        UsageError: one is not installed.
    """
    return [TensorBoard(directory, step)] if tensorboard else []
