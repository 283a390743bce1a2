"""Ctrl-C, termination and the loss of the terminal between two steps, never inside one."""

from __future__ import annotations

import signal
from types import FrameType

from lipsort_cli.console import reader_left, warn
from lipsort_cli.processes import on_stop_signals


class StepBoundary:
    """While open, a first signal to stop sets :attr:`requested`; a second interrupts at once.

    A reader of stdout that is gone requests it too. A step that is cut in half leaves weights that
    no checkpoint may hold. ``patient``: a SIGTERM after the first signal is passed over, because
    torchrun sends one on top of Ctrl-C.
    """

    def __init__(self, patient: bool = False) -> None:
        self._signalled = False
        self.patient = patient
        self._handling = on_stop_signals(self._handle)

    @property
    def requested(self) -> bool:
        """Whether to stop after the step at hand."""
        return self._signalled or reader_left()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            if self.patient and number == signal.SIGTERM:
                return
            raise KeyboardInterrupt
        self._signalled = True
        warn("stopping after this step; press Ctrl-C again to stop at once")

    def __enter__(self) -> StepBoundary:
        self._handling.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handling.__exit__(None, None, None)
