"""Honest certificates of small networks, for forgers to change."""

from __future__ import annotations

from pathlib import Path

import adapter
import numpy as np
from definitions import Node
from networks import Drawing, written

from lipsort_cli.certificates.classification import issue_certificate
from lipsort_cli.certificates.w1 import issue_w1_certificate


def dense(rng: np.random.Generator, rows: int, columns: int) -> Node:
    weight = (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)
    bias = (rng.standard_normal(rows) / 8).astype(np.float32)
    return Node("dense", (columns,), (rows,), weight=weight, bias=bias)


def classifier(rng: np.random.Generator) -> Drawing:
    """Images, a convolution, branches, a residual block, a scale and a head."""
    kernel = (rng.standard_normal((2, 1, 3, 3)) / 3).astype(np.float32)
    fields = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "padding_mode": "zeros"}
    image, wide = (1, 3, 2), (2, 3, 2)
    branches: list[list[Node]] = [[Node("abs", (12,), (12,))], []]
    chain = [
        Node("normalize", image, image, {"mean": [0.5], "std": [0.25]}),
        Node("convolution", image, wide, fields, kernel, np.zeros(2, dtype=np.float32)),
        Node("groupsort", wide, wide, {"group_size": 2}),
        Node("flatten", wide, (12,)),
        Node(
            "residual",
            (12,),
            (12,),
            {"skip": 0.5, "branch": 0.5},
            branches=[[dense(rng, 12, 12), Node("relu", (12,), (12,))]],
        ),
        Node("concatenate", (12,), (24,), branches=branches),
        Node("scale", (24,), (24,), {"factor": 0.75}),
        dense(rng, 3, 24),
    ]
    return Drawing(image, chain, "plain")


def critic(rng: np.random.Generator) -> Drawing:
    """One output: a matrix, sorting, a weighted distance, an extension."""
    weight = rng.standard_normal((4, 6)).astype(np.float32)
    centres = rng.standard_normal((5, 4)).astype(np.float32)
    zeros = np.zeros(5, dtype=np.float32)
    chain = [
        dense(rng, 6, 3),
        Node("groupsort", (6,), (6,), {"group_size": 3}),
        Node("distance", (6,), (4,), {"decay": 0.5}, weight, None),
        Node("extension", (4,), (1,), weight=centres, bias=zeros),
    ]
    return Drawing((3,), chain, "plain")


def issue_classifier(folder: Path, norm: str = "l2", arithmetic: str = "binary32") -> Path:
    """A folder with a certificate of six points, one of them wrongly labelled."""
    rng = np.random.default_rng(7)
    drawing = classifier(rng)
    network = adapter.build(*written(drawing, adapter.HEADER))
    path = adapter.save(network, folder / "model.safetensors")
    x = (rng.integers(0, 256, (6, 1, 3, 2)) / np.float32(255)).astype(np.float32)
    labels = adapter.errors(network, x.reshape(6, -1), "l2", "real")[0].argmax(axis=1)
    labels[0] = (labels[0] + 1) % 3
    issue_certificate(
        folder, path, x, labels, norm=norm, arithmetic=arithmetic, eps=[1e-3, 0.05], source="here"
    )
    return folder


def issue_critic(folder: Path, norm: str = "l2") -> Path:
    """A folder with a Wasserstein certificate, one side weighted."""
    rng = np.random.default_rng(8)
    network = adapter.build(*written(critic(rng), adapter.HEADER))
    path = adapter.save(network, folder / "model.safetensors")
    x, y = rng.standard_normal((5, 3)).astype(np.float32), rng.standard_normal((4, 3)) + 2
    issue_w1_certificate(folder, path, x, y, y_weights=rng.random(4), norm=norm)
    return folder
