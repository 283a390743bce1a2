"""Checkpoints: all that resuming needs, replaced atomically."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import make_folder, sync, write_atomic

_FORMAT = "lipsort-checkpoint-1"


def checkpoint_path(directory: Path) -> Path:
    """The checkpoint's file in a run directory."""
    return directory / "checkpoint" / "state.pt"


def save_checkpoint(directory: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint by ``state``: tensors, numbers, texts, lists and dicts."""
    path = checkpoint_path(directory)
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, **state}, buffer)
    make_folder(path.parent)
    # A checkpoint must not count steps whose lines a loss of power takes away.
    sync(directory / "metrics.jsonl")
    write_atomic(path, buffer.getvalue())


def load_checkpoint(directory: Path, device: torch.device) -> dict[str, Any] | None:
    """The run's checkpoint, or None where none was written yet. Nothing is ever unpickled but data.

    Raises:
        LipsortError: the file is damaged or no checkpoint of lipsort.
    """
    path = checkpoint_path(directory)
    if not path.exists():
        return None
    try:
        # Always on the CPU: random states must stay there, weights are copied where they belong.
        with warnings.catch_warnings():
            # On a foreign pickle torch warns on the way to the error that is reported below.
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises whatever its reader stumbles over
        raise LipsortError(
            f"{path} is damaged or no checkpoint of lipsort ({type(error).__name__}); delete its "
            "folder to train this run from the beginning, or restore the file"
        ) from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise LipsortError(
            f"{path} is no checkpoint of this version of lipsort (expected {_FORMAT}); delete its "
            "folder to train this run from the beginning"
        )
    return state


def random_states() -> dict[str, Any]:
    """States of torch's global generators."""
    states: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put the states of :func:`random_states` back."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
