"""Foolbox's attacks (Rauber et al., JOSS 2020): each looks for the nearest fooling input.

Carlini and Wagner's (S&P 2017) minimises the L2 distance whatever norm is asked for; what it finds
is measured in that norm. The boundary attack (Brendel et al., ICLR 2018) sees decisions only; in
L-infinity its successor does the same there, HopSkipJump (Chen et al., S&P 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lipsort_cli.errors import UsageError
from lipsort_cli.norms import lengths

MORE_STEPS = 50
"""How many steps Carlini-Wagner and the boundary attack take for one of PGD's."""

METHODS = ("foolbox", "carlini_wagner", "boundary")


def outside(
    method: str,
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    *,
    norm: str,
    steps: int,
    bounds: tuple[float, float] | None,
    seed: int,
) -> Tensor:
    """Perturbed inputs ``[N, ...]``; ``method`` is one of ``METHODS``.

    Those that the boundary attack cannot start from, no other input being of another class, remain.

    Raises:
        UsageError: foolbox is not installed.
    """
    try:
        import foolbox
    except ImportError:
        raise UsageError(
            f"methods: found {method}, which needs foolbox; pip install 'lipsort[attacks]'"
        ) from None
    low, high = bounds or (float(inputs.min()) - 100.0, float(inputs.max()) + 100.0)
    model = foolbox.PyTorchModel(network, bounds=(low, high), device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        attack = _attack(foolbox.attacks, method, norm, MORE_STEPS * steps)
        if method != "boundary":
            return attack(model, inputs, labels, epsilons=None)[0].detach()
        found = inputs.clone()
        rows, starts = _starts(network, inputs, labels, norm)
        if len(rows):
            found[rows] = attack(
                model, inputs[rows], labels[rows], epsilons=None, starting_points=starts
            )[0].detach()
        return found


def _attack(attacks: Any, method: str, norm: str, steps: int) -> Any:
    if method == "carlini_wagner":
        return attacks.L2CarliniWagnerAttack(steps=steps)
    if method == "boundary":
        if norm == "linf":
            return attacks.HopSkipJumpAttack(constraint="linf", steps=max(1, steps // 50))
        return attacks.BoundaryAttack(steps=steps)
    if norm == "l1":
        return attacks.EADAttack(binary_search_steps=5, steps=200)
    return {"l2": attacks.L2DeepFoolAttack, "linf": attacks.LinfDeepFoolAttack}[norm]()


@torch.no_grad()
def _starts(
    network: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor, norm: str
) -> tuple[Tensor, Tensor]:
    """Rows, and for each of them the nearest of all inputs that is given another class."""
    apart = network(inputs).argmax(1)[None, :] != labels[:, None]
    rows = apart.any(1).nonzero()[:, 0]
    nearest = [lengths(inputs[apart[row]] - inputs[row], norm).argmin() for row in rows]
    chosen = [inputs[apart[row]][at] for row, at in zip(rows, nearest, strict=True)]
    return rows, torch.stack(chosen) if chosen else inputs[:0]
