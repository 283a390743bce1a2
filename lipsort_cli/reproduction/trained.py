"""What is computed of a trained run's training set, after the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lipsort_cli.certificates.points import evaluate, load_network
from lipsort_cli.certificates.runs import open_run
from lipsort_cli.data import load
from lipsort_cli.files import read_json
from lipsort_cli.reproduction.generalisation import margin_bound


def generalisation(run: Path, delta: float = 0.05) -> dict[str, Any]:
    """Training and test accuracy of a run, their gap (empirical), and the margin bound."""
    trained = open_run(run, 1)
    network = load_network(trained.network)
    train = load(trained.config.data).train
    inputs, labels = train.inputs.numpy(), train.labels.numpy()

    seen = float((evaluate(network, inputs, "real").logits.argmax(1) == labels).mean())
    unseen = float(read_json(run / "results.json")["clean_accuracy"])
    return {
        "train_accuracy": seen,
        "test_accuracy": unseen,
        "gap": seen - unseen,
        "evidence": "empirical",
        "examples": len(labels),
        "bound": margin_bound(network, inputs, np.asarray(labels), delta).entry(),
    }
