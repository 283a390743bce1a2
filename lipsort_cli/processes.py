"""Which of several processes this is, from what torchrun puts into the environment. No torch."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

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


def stop_signals() -> list[int]:
    """Signals after which a command leaves what can be resumed: Ctrl-C, termination, a hang-up.

    Without the hang-up where this process was started to outlive its terminal (``nohup``).
    """
    found = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    return [
        number
        for number in found
        if number is not None
        and not (number == found[2] and signal.getsignal(number) is signal.SIG_IGN)
    ]
