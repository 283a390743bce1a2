"""One optimizer over parameter groups: the manifold's rules, and torch's for all the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer
from torch.optim.sgd import sgd

from lipsort_cli.optim.adam import adam_step_
from lipsort_cli.optim.stiefel import stiefel_adam_step_, stiefel_step_

Group = dict[str, Any]
Parameters = list[Tensor]


class Stiefel(Optimizer):
    """Descent on the Stiefel manifold, with a rule of its own for every other group.

    Args:
        params: parameters, or groups. A group's ``rule`` is ``stiefel`` (steepest descent, the
            default) or ``stiefel_adam``, whose parameters are orthonormal matrices, or stacks of
            them [k, m, n], and stay so; or ``adam``, ``sgd`` (Nesterov) or ``aggmo`` (aggregated
            momentum: Lucas et al., ICLR 2019).
        lr: spectral length of a step (stiefel), learning rate otherwise.
        momentum: of the rules stiefel and sgd.
        polar_steps: Newton-Schulz steps for the direction (stiefel).
        interval: a stiefel weight moves at every ``interval``-th step, by the mean of the gradients
            since: as with a batch that is so many times larger, at a fraction of the cost.
        exact_every: a stiefel_adam weight is retracted exactly at every ``exact_every``-th step,
            and to second order between: fewer and cheaper products, and off by some 1e-4 there.
        betas: of Adam (two; stiefel_adam too) or of each velocity (aggmo).
        weight_decay: of every rule but those of the manifold, where the norm is fixed.

    After a step in float32 the orthonormality error of every weight on the manifold is at most
    1e-5, with ``exact_every`` above 1 after every so many.

    Example:
        >>> weight = torch.nn.Parameter(torch.eye(3, 5))
        >>> optimizer = Stiefel([weight], lr=0.1)
        >>> weight[:, 1:4].sum().backward()
        >>> optimizer.step()
    """

    DEFAULTS: ClassVar[Group] = {
        "rule": "stiefel",
        "lr": 0.1,
        "momentum": 0.9,
        "polar_steps": 3,
        "interval": 1,
        "exact_every": 1,
        "betas": (0.9, 0.999),
        "weight_decay": 0.0,
    }

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        unknown = sorted(set(defaults) - set(self.DEFAULTS))
        if unknown:
            raise TypeError(f"unknown arguments {unknown}; known are {sorted(self.DEFAULTS)}")
        super().__init__(params, {**self.DEFAULTS, **defaults})
        self.after_step: list[Callable[[], None]] = []
        """Called after every step: constraints that retract a weight moved by another rule."""

    def add_param_group(self, param_group: Group) -> None:
        """Add a group; its rule must be known, and weights on the manifold must be matrices."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if group["rule"] not in _RULES:
            raise ValueError(f"found rule {group['rule']!r}; allowed are {sorted(_RULES)}")
        if group["rule"] in MANIFOLD_RULES:
            for parameter in group["params"]:
                if parameter.dim() not in (2, 3):
                    raise ValueError(
                        f"found a parameter of shape {tuple(parameter.shape)}; "
                        f"rule {group['rule']} moves matrices [m, n] and stacks of them [k, m, n]"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every group; the loss where a closure was given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                _RULES[group["rule"]](self, group, parameters)
        for function in self.after_step:
            function()
        return loss

    def _buffers(self, parameters: Parameters, name: str) -> Parameters:
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return [self.state[parameter][name] for parameter in parameters]

    def _stiefel(self, group: Group, parameters: Parameters) -> None:
        interval = group["interval"]
        for parameter, velocity in zip(
            parameters, self._buffers(parameters, "velocity"), strict=True
        ):
            state = self.state[parameter]
            count = state["count"] = state.get("count", 0) + 1
            if count % interval == 1 % interval:
                velocity.mul_(group["momentum"])
            velocity.add_(parameter.grad, alpha=1 / interval)  # type: ignore[arg-type]
            if count % interval == 0:
                stiefel_step_(parameter, velocity, float(group["lr"]), group["polar_steps"])

    def _stiefel_adam(self, group: Group, parameters: Parameters) -> None:
        moments = zip(parameters, *self._moments(parameters), strict=True)
        for parameter, mean, square, step in moments:
            assert parameter.grad is not None
            stiefel_adam_step_(
                parameter,
                parameter.grad,
                mean,
                square,
                step,
                lr=float(group["lr"]),
                betas=group["betas"],
                exact_every=group["exact_every"],
            )

    def _adam(self, group: Group, parameters: Parameters) -> None:
        adam_step_(
            parameters,
            [p.grad for p in parameters],  # type: ignore[misc]
            *self._moments(parameters),
            lr=group["lr"],
            betas=group["betas"],
            weight_decay=group["weight_decay"],
        )

    def _moments(self, parameters: Parameters) -> tuple[Parameters, Parameters, Parameters]:
        """Adam's first and second moments, and its counters."""
        for parameter in parameters:
            self.state[parameter].setdefault("step", torch.tensor(0.0))
        means, squares = self._buffers(parameters, "mean"), self._buffers(parameters, "square")
        return means, squares, [self.state[p]["step"] for p in parameters]

    def _sgd(self, group: Group, parameters: Parameters) -> None:
        velocities = self._buffers(parameters, "velocity") if group["momentum"] else []
        sgd(
            parameters,
            [p.grad for p in parameters],  # type: ignore[misc]
            velocities or [None] * len(parameters),  # type: ignore[arg-type]
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=0,
            nesterov=group["momentum"] > 0,
            maximize=False,
        )

    def _aggmo(self, group: Group, parameters: Parameters) -> None:
        # v_i <- beta_i v_i - g for every beta_i; w <- w + lr * mean_i v_i.
        for parameter in parameters:
            gradient = parameter.grad
            if group["weight_decay"]:
                gradient = gradient + group["weight_decay"] * parameter
            state = self.state[parameter]
            for i, beta in enumerate(group["betas"]):
                velocity = state.setdefault(f"velocity_{i}", torch.zeros_like(parameter))
                velocity.mul_(beta).sub_(gradient)
                parameter.add_(velocity, alpha=group["lr"] / len(group["betas"]))


_RULES: dict[str, Callable[[Stiefel, Group, Parameters], None]] = {
    "stiefel": Stiefel._stiefel,
    "stiefel_adam": Stiefel._stiefel_adam,
    "adam": Stiefel._adam,
    "sgd": Stiefel._sgd,
    "aggmo": Stiefel._aggmo,
}

MANIFOLD_RULES = ("stiefel", "stiefel_adam")
"""Rules of orthonormal weights."""
