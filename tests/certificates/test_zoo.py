"""Networks of the zoo, saved and read back: the certificate is about what was trained."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lipsort_cli.certificates.points import evaluate, issued_bounds, lipschitz_bound, load_network
from lipsort_cli.commands.export import compare
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.models import MlpModel
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.verifier.verify import verify
from lipsort_cli.zoo import build_network, save_network
from lipsort_cli.zoo.plain import load_plain


def option(group: str, name: str) -> Any:
    node = GROUPS[group][name]
    known = {entry.name for entry in fields(node)}
    return node(name=name) if "name" in known else node()


@pytest.mark.parametrize("constraint", group_options("constraint", "train"))
@pytest.mark.parametrize("activation", group_options("activation", "train"))
def test_saved_networks_compute_what_was_trained(
    constraint: str, activation: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = MlpModel(widths=[16, 8], lipschitz=2.0)
    network = build_network(
        model, option("activation", activation), option("constraint", constraint), (1, 4, 5), 3
    )
    network.eval()
    path = tmp_path / "model.safetensors"
    save_network(network, path)
    plain = load_network(path)
    x = np.random.default_rng(0).random((20, 1, 4, 5), dtype=np.float32)
    with torch.no_grad():
        trained = network(torch.from_numpy(x)).numpy()
        deployed = load_plain(path)(torch.from_numpy(x)).numpy()
    assert compare(plain, x, trained).within
    assert compare(plain, x, deployed).within
    bound = lipschitz_bound(plain, "l2")
    logits = evaluate(plain, x, "real").logits
    moves = np.linalg.norm((x[1:] - x[:-1]).reshape(19, -1), axis=1)
    changes = np.linalg.norm(logits[1:] - logits[:-1], axis=1)
    assert (changes <= bound.value * moves * (1 + 1e-9)).all()
    dense = [one.value for one in issued_bounds(plain, "l2") if one.op == "dense"]
    assert len(dense) == 3
    if constraint == "orthonormal":
        assert max(dense) <= 1 + 2e-6
        assert bound.value <= 2 * (1 + 1e-5)
    if constraint == "linf":
        rows = [one.value for one in issued_bounds(plain, "linf") if one.op == "dense"]
        assert max(rows) <= 1 + 2e-6


def test_a_foreign_layer_is_refused(tmp_path: Path) -> None:
    """An operation that the verifier does not know is UNSUPPORTED, never guessed."""
    from certificate_networks import mlp, save
    from safetensors.numpy import save_file

    from lipsort_cli.errors import LipsortError

    net = mlp(1)
    path = save(net, tmp_path / "model.safetensors")
    assert (
        verify(tmp_path).status == "MISUSED"
    )  # nothing is said of a certificate that is not there
    text = json.dumps(net.graph(), sort_keys=True)
    text = text.replace('"groupsort", "group_size"', '"mish", "group_size"')
    text = text.replace('{"group_size": 2, "op": "groupsort"}', '{"op": "mish"}')
    tensors = {name: np.ascontiguousarray(value) for name, value in net.tensors().items()}
    save_file(tensors, path, metadata={"lipsort_graph": text})
    with pytest.raises(LipsortError, match="unknown operation 'mish'"):
        load_network(path)
