"""TensorBoard event files, for those who ask for them."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.errors import UsageError


class TensorBoardLog:
    """Writes scalars under ``tensorboard/`` of a run, or nothing where it is not wanted."""

    def __init__(self, directory: Path, wanted: bool, resume_at: int) -> None:
        self._writer = None
        if not wanted:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "tensorboard: found true, but TensorBoard is not installed; "
                "install it with `pip install 'lipsort[tensorboard]'`, or leave it false"
            ) from error
        self._writer = SummaryWriter(str(directory / "tensorboard"), purge_step=resume_at + 1)

    def log(self, split: str, step: int, values: dict[str, float]) -> None:
        """One point of each value at ``step``."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Flush what was written."""
        if self._writer is not None:
            self._writer.close()
