"""Makes the helper module of this folder importable, and issues certificates for tests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from certificate_networks import mlp, save

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.points import evaluate
from lipsort_cli.certificates.w1 import issue_w1_certificate


@pytest.fixture
def issued(tmp_path: Path) -> Path:
    """A folder with a classification certificate of 12 points."""
    network = mlp(seed=3)
    rng = np.random.default_rng(5)
    inputs = rng.integers(0, 256, (12, 1, 3, 4)).astype(np.float32) / np.float32(255)
    labels = evaluate(network, inputs, "real").logits.argmax(axis=1)
    labels[0] = (labels[0] + 1) % 4
    path = save(network, tmp_path / "model.safetensors")
    issue_certificate(tmp_path, path, inputs, labels, norm="l2", eps=[0.05, 0.1], source="test")
    return tmp_path


@pytest.fixture
def issued_w1(tmp_path: Path) -> Path:
    """A folder with a Wasserstein certificate, one side weighted."""
    network = mlp(seed=4, widths=(12, 16, 1))
    rng = np.random.default_rng(6)
    x = rng.random((20, 1, 3, 4), dtype=np.float32)
    y = rng.random((15, 1, 3, 4)) + 0.5
    path = save(network, tmp_path / "critic.safetensors")
    issue_w1_certificate(tmp_path, path, x, y, y_weights=rng.random(15), norm="l2")
    return tmp_path
