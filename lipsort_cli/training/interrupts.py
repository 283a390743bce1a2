"""Ctrl-C, termination and the loss of the terminal between two steps, never inside one."""

from __future__ import annotations

import signal
from types import FrameType

from lipsort_cli.console import reader_left, warn


class StepBoundary:
    """What is called with signals: the first sets :attr:`requested`; a second interrupts at once.

    A reader of stdout that is gone requests it too. A step that is cut in half leaves weights that
    no checkpoint may hold. ``patient``: a SIGTERM after the first signal is passed over, because
    torchrun sends one on top of Ctrl-C.
    """

    def __init__(self, patient: bool = False) -> None:
        self._signalled = False
        self.patient = patient

    @property
    def requested(self) -> bool:
        """Whether to stop after the step at hand."""
        return self._signalled or reader_left()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            if self.patient and number == signal.SIGTERM:
                return
            raise KeyboardInterrupt
        self._signalled = True
        warn("stopping after this step; press Ctrl-C again to stop at once")
