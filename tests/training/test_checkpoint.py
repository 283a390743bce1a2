"""Checkpoints that are none end in one message, and in nothing else on screen."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest
import torch

from lipsort_cli.errors import LipsortError
from lipsort_cli.training.checkpoint import checkpoint_path, load_checkpoint


def test_a_pickle_is_refused_without_a_warning_of_torch(tmp_path: Path) -> None:
    path = checkpoint_path(tmp_path)
    path.parent.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            path.write_bytes(pickle.dumps({"format": Path("x")}, protocol=protocol))
            with pytest.raises(LipsortError, match="is damaged or no checkpoint") as caught:
                load_checkpoint(tmp_path, torch.device("cpu"))
            assert not isinstance(caught.value.__cause__, Warning)
