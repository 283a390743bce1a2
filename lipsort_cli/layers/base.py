"""What every layer with a constrained weight offers to networks and optimizers."""

from __future__ import annotations

import contextlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from lipsort_cli.arguments import shown, whole
from lipsort_cli.directed_text import at_most
from lipsort_cli.errors import ArgumentError
from lipsort_cli.layers.constraints import Constraint


class LeftConstraintSet(UserWarning):
    """A weight is outside its layer's set: an optimizer moved it that knows nothing of the set."""


class Computing(nn.Module):
    """A layer with members that are computed, as its weight is, and not assigned."""

    def __setattr__(self, name: str, value: Any) -> None:
        """As torch's; raises ArgumentError for what is computed, a weight above all."""
        computed = getattr(type(self), name, None)
        if isinstance(computed, property) and computed.fset is None:
            held = dict.fromkeys(one.partition(".")[0] for one, _ in self.named_parameters())
            held.pop("bias", None)
            raise ArgumentError(
                f"{name}: found an assignment, while {type(self).__name__} computes it; allowed: "
                "to assign what it is computed from, such as "
                + " or ".join(f"layer.{one} = other.{one}" for one in held)
            )
        super().__setattr__(name, value)


class ConstrainedLayer(Computing, ABC):
    """A linear layer whose weight is a function of parameters that stay in a set.

    Optimizers move :meth:`manifold` by steepest descent on the Stiefel manifold and everything else
    by their own rule; :meth:`retract_` brings what was moved otherwise back into its set.
    """

    bias: Tensor | None

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The constrained weight, computed afresh at every access, so that it is never stale."""

    def constrained(self) -> Sequence[tuple[Constraint, nn.Parameter]]:
        """Parameters that are constrained, each with its set."""
        return ()

    def manifold(self) -> list[nn.Parameter]:
        """Parameters that are orthonormal matrices [m, n], or stacks of them [k, m, n]."""
        return [parameter for own, parameter in self.constrained() if own.stiefel]

    @torch.no_grad()
    def retract_(self) -> None:
        """Bring every parameter back into its set after a step of another optimizer."""
        for own, parameter in self.constrained():
            own.retract_(parameter)

    def train(self, mode: bool = True) -> Self:
        """As torch's; ``eval()`` warns of a weight that has left its set."""
        if not mode:
            self.check_constraints()
        return super().train(mode)

    def check_constraints(self) -> None:
        """Warn (:class:`LeftConstraintSet`) where a parameter is far outside its set."""
        for own, parameter in self.constrained():
            if own.kept_within is None or parameter.is_meta:
                continue
            violation = own.violation(parameter)
            if not violation <= own.kept_within:
                warnings.warn(
                    f"{type(self).__name__}({self.sizes()}): found a weight that is outside its "
                    f"set {type(own).__name__} by {violation:.3g} (allowed: {own.kept_within:g}); "
                    f"the layer's Lipschitz constant is {self.constant_text()} now. Optimizers "
                    "that know nothing of the set do this: take "
                    "lipsort_cli.optim.build_optimizer(network), or call "
                    "lipsort_cli.optim.keep_constraints(optimizer, network) before training",
                    LeftConstraintSet,
                    stacklevel=2,
                )

    @abstractmethod
    def sizes(self) -> str:
        """What the layer was made with, as ``print`` shows it."""

    def constant_text(self) -> str:
        """The bound of the constant that the weight has now, in the norm that its set bounds."""
        norms = [own.bounds for own, _ in self.constrained() if own.bounds]
        norm = norms[0] if norms else "l2"
        return f"at most {at_most(self.lipschitz(norm), 7)} in {norm}"

    def extra_repr(self) -> str:
        """Sizes, and the Lipschitz constant as it is now."""
        if any(parameter.is_meta for parameter in self.parameters()):
            return self.sizes()
        return f"{self.sizes()}, Lipschitz constant {self.constant_text()}"

    @abstractmethod
    def lipschitz(self, norm: str) -> float:
        """An upper bound of the layer's constant from ``norm`` (l2, linf or l1) to itself.

        Computed in binary64 from the weight as it is; what certificates claim is derived again, in
        rigorous arithmetic, from the saved weight.
        """


def in_norm(norm: str, *, l2: float, linf: float, l1: float) -> float:
    """The constant in ``norm``; raises ArgumentError for a norm that no layer has one in."""
    if norm not in ("l2", "linf", "l1"):
        raise ArgumentError(f"norm: found {shown(norm)}; allowed: l2, linf, l1")
    return {"l2": l2, "linf": linf, "l1": l1}[norm]


def check_features(in_features: int, out_features: int) -> None:
    """Refuse a layer without inputs or outputs; raises ArgumentError."""
    whole("in_features", in_features)
    whole("out_features", out_features)


def misfit(x: Tensor, allowed: str) -> ArgumentError:
    """What is raised where an input has another shape than the layer takes."""
    return ArgumentError(f"x: found {shown(x)}; allowed: {allowed}")


def check_rows(x: Tensor, weight: Tensor) -> None:
    """Refuse what is no [N, in] for ``weight`` [out, in]: of three axes distances go wrong unseen.

    Raises:
        ArgumentError: that.
    """
    if x.dim() != 2 or x.shape[1] != weight.shape[1]:
        raise misfit(x, f"[N, {weight.shape[1]}]")


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Every part of ``network`` in evaluation mode, and in its own again when the block ends."""
    modes = [(part, part.training) for part in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


@torch.no_grad()
def matrix_norm_bound(weight: Tensor, norm: str) -> float:
    """An upper bound of the operator norm of [out, in], in binary64.

    L2: sqrt(1 + ||E||_2) with E = G - I, G the Gram matrix on the smaller side, where that is
    small, and the largest singular value otherwise; L-infinity and L1: the largest absolute row and
    column sum.
    """
    w = weight.detach().double()
    if norm != "l2":
        rows, columns = (float(w.abs().sum(axis).max()) for axis in (1, 0))
        return in_norm(norm, l2=0.0, linf=rows, l1=columns)
    square = w @ w.mT if w.shape[0] <= w.shape[1] else w.mT @ w
    excess = symmetric_norm_bound(square - torch.eye(len(square), dtype=w.dtype, device=w.device))
    if excess < 1e-3 or not excess < float("inf"):
        return float((1 + excess) ** 0.5)
    # The SVD's own error is of the order of the dimension times the rounding unit.
    return float(torch.linalg.matrix_norm(w, 2)) * (1 + 1e-14 * sum(w.shape))


def symmetric_norm_bound(square: Tensor) -> float:
    """||E||_2 <= ||E^4||_F^(1/4) of a symmetric [n, n]: above by a factor n^(1/8) at most."""
    scale = float(square.abs().max())
    if scale == 0 or not scale < float("inf"):
        return scale
    power = square / scale
    power = power @ power
    return scale * float((power @ power).norm()) ** 0.25 * (1 + 1e-12)
