"""What can be said of CUDA without one: nothing in a step waits for the device, and so on."""

from __future__ import annotations

import ast
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from lipsort_cli.config.schema import GROUPS
from lipsort_cli.devices import fast_dtype
from lipsort_cli.layers import Dense, GroupSort, MaxMin, OrthogonalConvolution
from lipsort_cli.training.losses import build_loss
from lipsort_cli.training.radius import head_gaps, radii

PACKAGE = Path(__file__).parents[2] / "lipsort_cli"
NETWORKS = {
    "dense": lambda: [nn.Flatten(), Dense(36, 16), MaxMin(), Dense(16, 16), GroupSort(4)],
    "convolutions": lambda: [OrthogonalConvolution(1, 4, 3, padding=1), MaxMin(1), nn.Flatten(),
                             Dense(144, 16)],
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
def test_forward_and_backward_read_nothing_back(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors of the device `meta` hold no numbers: whoever looked at one would fail."""
    # Autocast knows no such device.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    net = nn.Sequential(*NETWORKS[network](), Dense(16, 3)).to("meta")
    inputs = torch.empty(8, 1, 6, 6, device="meta")
    labels = torch.empty(8, dtype=torch.int64, device="meta")
    # multi_margin is torch's own loss, which has no form on that device.
    for name in (one for one in GROUPS["loss"] if one != "multi_margin"):
        logits = net(inputs)
        value = build_loss(GROUPS["loss"][name]())(logits, labels)
        value.backward()
        radii(logits, labels, head_gaps(net[-1], "l2"), 1.0)
        with pytest.raises(RuntimeError, match="meta"):
            value.item()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    "capability, expected", [((8, 0), torch.bfloat16), ((7, 5), torch.float32)]
)
def test_bfloat16_is_taken_where_the_hardware_has_it(
    capability: tuple[int, int], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch calls bfloat16 supported on older devices too, where it emulates it, slowly."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    fast_dtype.cache_clear()
    try:
        assert fast_dtype("cuda") == expected and fast_dtype("mps") == torch.float32
    finally:
        fast_dtype.cache_clear()


def calls(name: str) -> list[tuple[Path, ast.Call]]:
    """Every call `torch.NAME...(...)` of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(f"torch.{name}"):
                found.append((path, node))
    return found


def test_random_numbers_are_drawn_where_their_generator_is() -> None:
    """Generators are the CPU's, so that numbers are the same on every device."""
    made = [node for _, node in calls("Generator") if ast.unparse(node.func) == "torch.Generator"]
    assert len(made) > 5 and not any(node.args or node.keywords for node in made)
    drawn = calls("rand")
    wrong = [
        f"{path}:{node.lineno}"
        for path, node in drawn
        if {"generator", "device"} <= {key.arg for key in node.keywords}
    ]
    assert not wrong and len(drawn) > 20
