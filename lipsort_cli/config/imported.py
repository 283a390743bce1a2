"""The typed configuration of `lipsort import`."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from lipsort_cli.config.options import LARGEST_SEED, REQUIRED, like, node, option
from lipsort_cli.config.registry import command
from lipsort_cli.config.train import Evaluation


@node
class ImportEvaluation:
    """What later commands take for the run's own norm and radii."""

    norm: str = like(Evaluation, "norm", "l2")
    eps: list[float] = like(Evaluation, "eps", [0.1, 0.3, 0.5, 1.0])


@command(
    "import",
    argument="file",
    examples=(
        ("Classifies digits", "lipsort import model.onnx data=digits"),
        ("Data later", "lipsort import model.onnx input_shape=[1,28,28]"),
        (
            "It was trained on inputs less 0.1307, over 0.3081",
            "lipsort import model.onnx data=mnist mean=[0.1307] std=[0.3081]",
        ),
    ),
)
@node
class ImportConfig:
    """Import a network from elsewhere, an ONNX file, as a run."""

    file: str = option(REQUIRED, "ONNX file of the network", path=True)
    data: Any = None
    input_shape: list[int] = option(
        [], "of one input, without the batch; where the file leaves it open", minimum=1
    )
    mean: list[float] = option(
        [], "taken off raw inputs before the network, one a channel or one for all"
    )
    std: list[float] = option(
        [], "raw inputs are divided by it then, one a channel or one for all", above=0
    )
    points: int = option(
        256, "inputs at which outputs are compared: of the test set, or random", minimum=1,
        maximum=100_000,
    )  # fmt: skip
    evaluation: ImportEvaluation = field(default_factory=ImportEvaluation)
    seed: int = option(0, "of random inputs", minimum=0, maximum=LARGEST_SEED)
