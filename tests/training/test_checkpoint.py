"""Checkpoints that are none, or not whole, end in one message, and in nothing else on screen."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.errors import LipsortError
from lipsort_cli.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint


def foreign() -> list[bytes]:
    """Pickles of every protocol, bare and behind a right head and checksum."""
    contents = [
        pickle.dumps({"format": Path("x")}, protocol=protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ]
    head = b"lipsort-checkpoint-2\n"
    return contents + [head + hashlib.sha256(content).digest() + content for content in contents]


def test_a_pickle_is_refused_without_a_warning_of_torch(tmp_path: Path) -> None:
    path = checkpoint_path(tmp_path)
    path.parent.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for content in foreign():
            path.write_bytes(content)
            with pytest.raises(LipsortError, match="no checkpoint of") as caught:
                load_checkpoint(tmp_path)
            assert not isinstance(caught.value.__cause__, Warning)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    save_checkpoint(folder, {"task": {"weights": torch.arange(50.0)}, "step": 3})
    return folder


def test_what_was_saved_comes_back(whole: Path) -> None:
    state = load_checkpoint(whole)
    assert state is not None and state["step"] == 3
    assert torch.equal(state["task"]["weights"], torch.arange(50.0))
    assert load_checkpoint(whole / "nowhere") is None


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=200)
def test_a_flipped_bit_is_refused(whole: Path, where: float, bit: int) -> None:
    data = bytearray(checkpoint_path(whole).read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    check_refused(whole, bytes(data))


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=20)
def test_a_file_cut_short_is_refused(whole: Path, share: float) -> None:
    data = checkpoint_path(whole).read_bytes()
    check_refused(whole, data[: int(share * len(data))])


def check_refused(whole: Path, content: bytes) -> None:
    damaged = whole / "damaged"
    path = checkpoint_path(damaged)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(LipsortError, match=r"state\.pt is damaged") as caught:
        load_checkpoint(damaged)
    assert caught.value.exit_code == 1
