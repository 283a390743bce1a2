"""Ctrl-C and termination between two steps, never inside one."""

from __future__ import annotations

import signal
from types import FrameType

from lipsort_cli.console import warn


class StepBoundary:
    """While open, a first SIGINT or SIGTERM sets :attr:`requested`; a second interrupts at once.

    A step that is cut in half leaves weights that no checkpoint may hold. ``patient``: a SIGTERM
    after the first signal is passed over, because torchrun sends one on top of Ctrl-C.
    """

    def __init__(self, patient: bool = False) -> None:
        self.requested = False
        self.patient = patient
        self._before: dict[int, object] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            if self.patient and number == signal.SIGTERM:
                return
            raise KeyboardInterrupt
        self.requested = True
        warn("stopping after this step; press Ctrl-C again to stop at once")

    def __enter__(self) -> StepBoundary:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:
                break  # not in the main thread: signals stay as they are
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()
