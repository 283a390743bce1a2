"""What a checkpoint of the training loop holds, and how it is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lipsort_cli.errors import LipsortError
from lipsort_cli.training.checkpoint import (
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from lipsort_cli.training.window import Window

if TYPE_CHECKING:
    from lipsort_cli.training.loop import Trainer


def save(trainer: Trainer) -> None:
    """Write the checkpoint, between two steps; every process of a team calls it."""
    # Collective: every process gives its random states, the leader writes.
    states = trainer.team.gathered(random_states())
    if not trainer.team.leads:
        return
    save_checkpoint(
        trainer.directory,
        {
            "network": trainer.network.state_dict(),
            "optimizer": trainer.optimizer.state_dict(),
            "schedule": {"last_epoch": trainer.schedule.last_epoch},
            "step": trainer.step,
            "seconds": trainer.seconds,
            "window": vars(trainer.window),
            "latest": trainer.latest,
            "random": states[0],
            "workers": states[1:],
            "threads": torch.get_num_threads(),
            "data": trainer.dataset.fingerprint["sha256"],
        },
    )


def restore(trainer: Trainer) -> bool:
    """Put the checkpoint back, where there is one; every process of a team calls it.

    Raises:
        LipsortError: it belongs to other data or another network.
    """
    state = load_checkpoint(trainer.directory, trainer.device) if trainer.team.leads else None
    state = trainer.team.told(state)
    if state is None:
        return False
    if state["data"] != trainer.dataset.fingerprint["sha256"]:
        raise LipsortError(
            f"{trainer.directory} was trained on other data than {trainer.dataset.name} holds now; "
            "restore the data, or start a new run"
        )
    try:
        trainer.network.load_state_dict(state["network"])
        trainer.optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise LipsortError(
            f"the checkpoint in {trainer.directory} belongs to another network "
            f"({str(error).splitlines()[0]}); start a new run"
        ) from error
    trainer.schedule.last_epoch = state["schedule"]["last_epoch"]
    for group, base, function in zip(
        trainer.optimizer.param_groups,
        trainer.schedule.base_lrs,
        trainer.schedule.lr_lambdas,
        strict=True,
    ):
        group["lr"] = base * function(trainer.schedule.last_epoch)
    trainer.step = state["step"]
    trainer.seconds = state["seconds"]
    trainer.window = Window(**state["window"])
    trainer.latest = dict(state["latest"])
    states = [state["random"], *state.get("workers", [])]
    # A process that was not there before has drawn nothing yet.
    if trainer.team.rank < len(states):
        restore_random_states(states[trainer.team.rank])
    if trainer.config.threads == 0:
        torch.set_num_threads(state["threads"])
    return True
