"""Several processes of torchrun: one training, one directory, one voice.

The leader does what a single process would. The others compose the same configuration, work in a
folder of their own that is thrown away, and say nothing but what only they know: an error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lipsort_cli.config.registry import Command
from lipsort_cli.console import console, errors
from lipsort_cli.errors import Interrupted, UsageError
from lipsort_cli.processes import Place, place

TEAMS = ("train", "estimate-wasserstein", "wgan")
"""Commands that share their work among processes."""


def check(command: Command, multirun: bool, where: Place) -> None:
    """Refuse under torchrun what is not made for it."""
    if where.size == 1:
        return
    if command.name not in TEAMS:
        raise UsageError(
            f"found torchrun with {where.size} processes; `lipsort {command.name}` runs in one: "
            f"start it without torchrun (allowed with it: lipsort {', '.join(TEAMS)})"
        )
    if multirun:
        raise UsageError("-m: found under torchrun; allowed: one run, or a sweep with a launcher")


def dismiss(config: Any) -> None:
    """Of a leader whose run is finished: the others would wait for it to train with them."""
    if place().size > 1:
        from lipsort_cli.training.device import resolve_device
        from lipsort_cli.training.distributed import Team

        Team.dismiss(resolve_device(config.device))


@contextmanager
def apart(where: Place) -> Iterator[Path | None]:
    """For all but the leader: a quiet process, and a folder to work in until the block ends."""
    if where.leads:
        yield None
        return
    console.quiet = errors.quiet = True
    try:
        with tempfile.TemporaryDirectory(prefix="lipsort-") as folder:
            yield Path(folder)
    except (UsageError, Interrupted):
        raise  # the leader says the same
    except BaseException:
        errors.quiet = False
        raise
