"""This process among others: its place, its end, its memory. No torch."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

PATIENCE = 60.0
"""Seconds that a process has for its last step and its checkpoint."""

_KEYS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """Process ``rank`` of ``size``, the ``local``-th on its machine; all counted from 0."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0


def place(environ: Mapping[str, str] | None = None) -> Place:
    """This process' place; alone where torchrun did not start it."""
    given = os.environ if environ is None else environ
    if any(key not in given for key in _KEYS):
        return Place()
    try:
        rank, size, local = (int(given[key]) for key in _KEYS[:3])
    except ValueError:
        return Place()
    return Place(rank, size, local) if size > 1 and 0 <= rank < size and local >= 0 else Place()


@contextmanager
def ending_with(parent: int) -> Iterator[None]:
    """End this process with ``parent``, which started it, while the block runs and after it.

    It is asked to stop as by a termination signal, and has :data:`PATIENCE` seconds for that. Does
    nothing where another process started this one, on another machine for example.
    """
    if os.getppid() != parent:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while os.getppid() == parent:
            if ended.wait(1.0):
                return
        # Ctrl-C reaches this process as well: a second signal would cut a step in half.
        if not ended.wait(2.0):
            os.kill(os.getpid(), signal.SIGTERM)
            ended.wait(PATIENCE)
        os._exit(130)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        if os.getppid() != parent:
            ended.set()
            watcher.join()
        ended.set()


_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of glibc's ``mallopt``."""


def keep_memory() -> None:
    """Let freed memory stay with this process, up to some 128 MiB, instead of going back at once.

    glibc gives blocks of a few hundred kilobytes back when they are freed, and every page of the
    next one is then a page fault: a tenth of the time of a small network's steps.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL(None)
            libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
            libc.mallopt(_TRIM_THRESHOLD, 128 << 20)


def collect_garbage() -> None:
    """Let the collector look for garbage from here on, where it was off.

    Not among what is loaded by now: torch alone makes a million objects that stay, and to look at
    them again and again takes longer than a small run's evaluation.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


@contextmanager
def on_stop_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Let ``handler`` take Ctrl-C, termination and a hang-up while the block runs.

    Not the hang-up where this process was started to outlive its terminal (``nohup``). In the main
    thread only; in others, such as a launcher's workers, all stay as they are.
    """
    before: dict[int, Any] = {}
    with suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for taken, earlier in before.items():
            signal.signal(taken, earlier)


@contextmanager
def stopping_later() -> Iterator[None]:
    """Let signals to stop wait for the end of the block: an import that one interrupts may go on
    with half a module, as torch does of numpy."""
    sent: list[int] = []
    with on_stop_signals(lambda number, _: sent.append(number)):
        yield
    for number in sent[:1]:
        signal.raise_signal(number)
