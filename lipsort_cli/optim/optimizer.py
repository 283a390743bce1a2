"""Optimizers of orthonormal matrices, aggregated momentum, and several optimizers as one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from lipsort_cli.optim.eager import eager
from lipsort_cli.optim.stiefel import first_basis, manifold_step_, stiefel_step_, subspace_step_
from lipsort_cli.optim.wide import is_wide, wide_step_

Group = dict[str, Any]
Closure = Callable[[], Any]


def adam(params: Iterable[Any], **options: Any) -> Adam:
    """torch's Adam, in one pass over memory where torch offers that and it needs no care."""
    groups = list(params)
    first = groups[0]["params"] if isinstance(groups[0], dict) else groups
    # On other devices the fused kernel wants its counters there; torch's own choice does not.
    fused = True if first[0].device.type == "cpu" else None
    return eager(Adam)(groups, fused=fused, **options)


class _ByParameter(Optimizer):
    """An optimizer that moves one parameter after the other."""

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """One step of every parameter that has a gradient; the loss where a closure was given."""
        loss = _evaluated(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move_(parameter, group, self.state[parameter])
        return loss

    @abstractmethod
    def _move_(self, parameter: Tensor, group: Group, state: Group) -> None:
        """Move ``parameter`` against its gradient, in place."""


class _OnManifold(Optimizer):
    """Orthonormal matrices [m, n], or stacks of them [k, m, n], which stay so."""

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of matrices or stacks of them; raises ValueError for other shapes."""
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if parameter.dim() not in (2, 3):
                raise ValueError(
                    f"found a parameter of shape {tuple(parameter.shape)}; "
                    f"{type(self).__name__} moves matrices [m, n] and stacks of them [k, m, n]"
                )


class Stiefel(_ByParameter, _OnManifold):
    """Steepest descent on the Stiefel manifold, in spectral norm.

    Args:
        params: orthonormal matrices [m, n] or stacks of them [k, m, n], or groups.
        lr: spectral length of a step.
        momentum: share of the velocity that a step keeps.
        polar_steps: Newton-Schulz steps for the direction.
        interval: a weight moves at every ``interval``-th step, by the mean of the gradients since:
            as with a batch that is so many times larger, at a fraction of the cost.
        rank: dimension of the subspace that a step rotates a weight in, where both of its sides are
            larger (:func:`~lipsort_cli.optim.stiefel.subspace_step_`); None: all of it.

    After a step in float32 the orthonormality error of every weight is at most 1e-5.

    Raises:
        ValueError: a parameter that is no matrix and no stack of matrices.

    Example:
        >>> weight = torch.nn.Parameter(torch.eye(3, 5))
        >>> optimizer = Stiefel([weight], lr=0.1)
        >>> weight[:, 1:4].sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        momentum: float = 0.9,
        polar_steps: int = 3,
        interval: int = 1,
        rank: int | None = None,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "polar_steps": polar_steps, "interval": interval}
        super().__init__(params, {**options, "rank": rank})

    def _move_(self, parameter: Tensor, group: Group, state: Group) -> None:
        interval, rank = group["interval"], group["rank"]
        if not state:
            state["velocity"], state["count"] = torch.zeros_like(parameter), 0
            if rank is not None and rank < min(parameter.shape[-2:]):
                state["basis"] = first_basis(parameter, rank)
        state["count"] += 1
        if state["count"] % interval == 1 % interval:
            state["velocity"].mul_(group["momentum"])
        state["velocity"].add_(parameter.grad, alpha=1 / interval)
        if state["count"] % interval:
            return
        arguments = parameter, state["velocity"]
        lr, polar_steps = float(group["lr"]), group["polar_steps"]
        if "basis" in state:
            move = state["count"] // interval
            subspace_step_(*arguments, state["basis"], lr, polar_steps, move)
        elif not (is_wide(parameter) and wide_step_(*arguments, lr, polar_steps)):
            stiefel_step_(*arguments, lr, polar_steps)


class StiefelAdam(_OnManifold):
    """Adam on the Stiefel manifold: torch's step, projected to the tangent space and retracted.

    Args:
        params: orthonormal matrices [m, n] or stacks of them [k, m, n], or groups.
        lr: learning rate.
        betas: decay of the two moments.
        exact_every: a weight is retracted exactly at every ``exact_every``-th step, and to second
            order between: fewer and cheaper products, and off by some 1e-4 there.

    After a step in float32 the orthonormality error of every weight is at most 1e-5, with
    ``exact_every`` above 1 after every so many.

    Raises:
        ValueError: a parameter that is no matrix and no stack of matrices.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        exact_every: int = 1,
    ) -> None:
        self._adams: list[Adam] = []
        super().__init__(params, {"lr": lr, "betas": betas, "exact_every": exact_every})

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of matrices or stacks of them; raises ValueError for other shapes."""
        super().add_param_group(param_group)
        # Adam moves matrices of zeros: what they are afterwards is its step, unrounded.
        self._adams.append(adam([torch.zeros_like(p) for p in self.param_groups[-1]["params"]]))

    def __getstate__(self) -> Group:
        return {**super().__getstate__(), "_adams": self._adams}

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """One step of every parameter that has a gradient; the loss where a closure was given."""
        loss = _evaluated(closure)
        for group, inner in zip(self.param_groups, self._adams, strict=True):
            (own,) = inner.param_groups
            own["lr"], own["betas"] = group["lr"], group["betas"]
            moved = [
                (parameter, move)
                for parameter, move in zip(group["params"], own["params"], strict=True)
                if parameter.grad is not None
            ]
            for parameter, move in moved:
                move.zero_().grad = parameter.grad
                inner.state[move] = self.state[parameter]  # one state, saved here
            inner.step()
            for parameter, move in moved:
                move.grad = None
                exact = int(self.state[parameter]["step"]) % group["exact_every"] == 0
                manifold_step_(parameter, move, exact=exact)
        return loss


class AggMo(_ByParameter):
    """Aggregated momentum: w <- w + lr mean_i v_i, v_i <- beta_i v_i - g for each of ``betas``.

    Lucas, Sun, Zemel, Grosse: "Aggregated Momentum: Stability Through Passive Damping", ICLR 2019.

    Args:
        params: parameters, or groups.
        lr: learning rate.
        betas: damping of each velocity.
        weight_decay: times w, added to the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        betas: Sequence[float] = (0.0, 0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    def _move_(self, parameter: Tensor, group: Group, state: Group) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * parameter
        for i, beta in enumerate(group["betas"]):
            velocity = state.setdefault(f"velocity_{i}", torch.zeros_like(parameter))
            velocity.mul_(beta).sub_(gradient)
            parameter.add_(velocity, alpha=group["lr"] / len(group["betas"]))


class Combined(Optimizer):
    """Several optimizers of different parameters, used as one.

    Its groups are those of its parts, in their order, so that a schedule moves all rates.

    Args:
        parts: the optimizers.

    Raises:
        ValueError: two of them move the same parameter.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([group for part in self.parts for group in part.param_groups], {})

    def __getstate__(self) -> Group:
        return {**super().__getstate__(), "parts": self.parts}

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """One step of every part; the loss where a closure was given."""
        loss = _evaluated(closure)
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> Group:
        """The state of every part."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: Group) -> None:
        """Take over what :meth:`state_dict` gave; raises ValueError for other parts or groups."""
        states = state_dict["parts"]
        if len(states) != len(self.parts):
            raise ValueError(f"found the state of {len(states)} parts; there are {len(self.parts)}")
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
        # Loading makes new groups; they are shared again.
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def _evaluated(closure: Closure | None) -> Any:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
