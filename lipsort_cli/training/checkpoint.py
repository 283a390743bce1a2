"""Checkpoints: all that resuming needs, replaced atomically, checksummed throughout."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from lipsort_cli.errors import LipsortError
from lipsort_cli.files import LARGEST_WEIGHTS, make_folder, opened, sync, write_atomic

_MAGIC = b"lipsort-checkpoint-2\n"
_DIGEST = hashlib.sha256().digest_size
_MOST = 16 * LARGEST_WEIGHTS
"""Bytes: weights, their averages, and what optimizers keep of each."""


def checkpoint_path(directory: Path) -> Path:
    """The checkpoint's file in a run directory."""
    return directory / "checkpoint" / "state.pt"


def save_checkpoint(directory: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint by ``state``: tensors, numbers, texts, lists and dicts.

    The file: a line that names its format, the SHA-256 of the rest, and the rest as torch saves it.
    """
    path = checkpoint_path(directory)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    make_folder(path.parent)
    # A checkpoint must not count steps whose lines a loss of power takes away.
    sync(directory / "metrics.jsonl")
    write_atomic(path, _MAGIC + hashlib.sha256(content).digest() + content)


def load_checkpoint(directory: Path) -> dict[str, Any] | None:
    """The run's checkpoint, or None where none was written yet. Nothing is ever unpickled but data.

    Raises:
        LipsortError: the file is damaged, even in one bit, or no checkpoint of lipsort.
    """
    path = checkpoint_path(directory)
    advice = "delete its folder to train this run from the beginning"
    if not os.path.lexists(path):
        return None
    with opened(path, _MOST) as file:
        head, checksum = file.read(len(_MAGIC)), file.read(_DIGEST)
        # What is no archive is seen at its end; what is one is hashed before it fills the memory.
        if head != _MAGIC or not _is_archive(file):
            raise LipsortError(
                f"{path} is damaged, or no checkpoint of this version of lipsort (expected "
                f"{_MAGIC.decode().strip()}); {advice}"
            )
        file.seek(start := len(_MAGIC) + _DIGEST)
        if hashlib.file_digest(file, "sha256").digest() != checksum:
            raise LipsortError(
                f"{path} is damaged: its content does not have the SHA-256 that it states; "
                f"{advice}, or restore the file"
            )
        file.seek(start)
        content = file.read()
    try:
        # Always on the CPU: random states must stay there, weights are copied where they belong.
        with warnings.catch_warnings():
            # On a foreign pickle torch warns on the way to the error that is reported below.
            warnings.simplefilter("ignore")
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError("no dict")
    except Exception as error:  # a foreign archive raises whatever its reader stumbles over
        raise LipsortError(
            f"{path} is no checkpoint of lipsort ({type(error).__name__}); {advice}"
        ) from error
    return state


def _is_archive(file: IO[bytes]) -> bool:
    with contextlib.suppress(zipfile.BadZipFile):  # where its end is damaged
        return zipfile.is_zipfile(file)
    return False


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
