"""Faults put back into the verifier: the referee must report each one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from boundaries import try_radii
from definitions import DEFINITIONS, Node
from deployed import try_deployed
from edges import loses
from measures import try_measures
from networks import Drawing
from tally import Tally
from trials import build, check_errors, try_errors, try_norms

from lipsort_cli.certificates import reach
from lipsort_cli.layers.extension import Extension
from lipsort_cli.verifier import linear, rounding
from lipsort_cli.verifier.linear import Linear
from lipsort_cli.verifier.operation import Operation, find
from lipsort_cli.verifier.operations import l2_pool, residual, scale
from lipsort_cli.verifier.state import State

Trial = Callable[[np.random.Generator, Tally, str], None]
Patch = pytest.MonkeyPatch


def found(trial: Trial, *ops: str, rounds: int = 60) -> bool:
    """Whether ``trial`` reports a violation within some rounds around the operations named."""
    rng = np.random.default_rng(11)
    for _ in range(rounds):
        for op in ops or tuple(DEFINITIONS):
            tally = Tally()
            trial(rng, tally, op)
            if tally.violations:
                return True
    return False


def operation(name: str) -> type[Operation]:
    kind = find(name)
    assert kind is not None
    return type(kind)


def test_one_weight_taken_for_no_decay(monkeypatch: Patch) -> None:
    """Fault 1: with a single input the decay was taken to be 0."""
    kind = operation("distance")
    honest = kind.step

    def mistaken(self: Any, layer: Any, *rest: Any) -> None:
        honest(self, replace(layer, numbers=(0.0,)) if layer.inputs == 1 else layer, *rest)

    monkeypatch.setattr(kind, "step", mistaken)
    assert found(try_errors, "distance")
    assert found(try_measures, "distance", rounds=400)


def test_constants_that_round_to_nothing(monkeypatch: Patch) -> None:
    """Fault 2: a constant of 2^-150 was charged a few roundings, though binary32 holds none."""

    def none(state: State, *constants: float) -> tuple[Any, Any]:
        return (state.size() + state.own) * 0.0, (state.lip + state.d1) * 0.0

    for module in (scale, residual):
        monkeypatch.setattr(module, "doubt", none)
    two, large = (2,), 2.0**60 * np.eye(2, dtype=np.float32)
    middle = {
        "scale": Node("scale", two, two, {"factor": 2.0**-150}),
        "residual": Node(
            "residual",
            two,
            two,
            {"skip": 2.0**-150, "branch": 0.0},
            branches=[[Node("abs", two, two)]],
        ),
    }
    for name, node in middle.items():
        matrices = [Node("dense", two, two, weight=large) for _ in range(2)]
        drawing, tally = Drawing(two, [*matrices, node], "huge"), Tally()
        x = np.array([[0.0, 1.0], [1.0, 0.5]])
        check_errors(np.random.default_rng(0), tally, drawing, build(drawing), x)
        assert tally.violations, name
    assert found(try_errors, rounds=60)


def test_centres_chosen_by_expanded_squares(monkeypatch: Patch) -> None:
    """Fault 4: the module looked at the four best centres of a float32 expansion only."""

    def forward(self: Extension, x: torch.Tensor) -> torch.Tensor:
        c, b = self.centres, self.bias
        squares = (x * x).sum(1, keepdim=True) + (c * c).sum(1) - 2 * (x @ c.T)
        scores = b - squares.clamp_min(0).sqrt()
        chosen = scores.topk(min(4, len(c)), dim=1).indices
        apart = (x[:, None] - c[chosen]).norm(dim=2)
        return (b[chosen] - apart).amax(1, keepdim=True)

    monkeypatch.setattr(Extension, "forward", forward)
    assert found(lambda rng, tally, op: try_deployed(rng, tally, op, onnx=False), "extension")


def fewer_roundings(monkeypatch: Patch) -> None:
    honest = rounding.gamma
    monkeypatch.setattr(rounding, "gamma", lambda count, unit: honest(max(1, count // 4), unit))


def nothing_underflows(monkeypatch: Patch) -> None:
    honest = State.rounded

    def mistaken(self: State, layer: Any, bound: Any, sizes: Any, count: Any, _: Any, **kw: Any):
        honest(self, layer, bound, sizes, count, 0.0, **kw)

    monkeypatch.setattr(State, "rounded", mistaken)


def everything_fits(monkeypatch: Patch) -> None:
    monkeypatch.setattr(State, "fits", lambda self, radius: np.ones(len(self.values), dtype=bool))


def roots_of_what_underflowed(monkeypatch: Patch) -> None:
    honest = l2_pool.squared

    def mistaken(state: State, layer: Any, terms: int) -> None:
        kept = state.own, state.d0
        honest(state, layer, terms)
        state.own, state.d0 = kept

    monkeypatch.setattr(l2_pool, "squared", mistaken)


def subnormal_weights_kept(monkeypatch: Patch) -> None:
    honest = Linear.of.__func__

    def mistaken(cls: type[Linear], layer: Any, arithmetic: Any, m: Any) -> Linear:
        made = honest(cls, layer, arithmetic, m)
        made.absolute = abs(made.weight)
        return made

    monkeypatch.setattr(Linear, "of", classmethod(mistaken))


MUTANTS: dict[str, tuple[Callable[[Patch], None], Trial, tuple[str, ...]]] = {
    "a quarter of the roundings": (fewer_roundings, try_errors, ("dense", "convolution")),
    "underflow forgotten": (nothing_underflows, try_errors, ("dense", "scale")),
    "overflow forgotten": (everything_fits, try_errors, ("dense", "l2_pool")),
    "squares that underflow forgotten": (roots_of_what_underflowed, try_errors, ("l2_pool",)),
    "subnormal weights not flushed": (subnormal_weights_kept, try_errors, ("dense",)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_the_recurrence_are_reported(name: str, monkeypatch: Patch) -> None:
    mutate, trial, ops = MUTANTS[name]
    mutate(monkeypatch)
    assert found(trial, *ops, rounds=900)


def errors_grow_nowhere(monkeypatch: Patch) -> None:
    honest = State.rounded

    def mistaken(self: State, layer: Any, bound: Any, *given: Any, **named: Any) -> None:
        before = self.d1
        honest(self, layer, bound, *given, **named)
        self.d1 = before * bound

    monkeypatch.setattr(State, "rounded", mistaken)


def constants_round_the_same_everywhere(monkeypatch: Patch) -> None:
    honest = scale.doubt

    def mistaken(state: State, *constants: float) -> tuple[Any, Any]:
        base, slope = honest(state, *constants)
        return base, slope * 0.0

    monkeypatch.setattr(scale, "doubt", mistaken)


def results_are_the_largest(monkeypatch: Patch) -> None:
    honest = State.rounded

    def mistaken(self: State, *given: Any, **named: Any) -> None:
        honest(self, *given, **{**named, "reach": 0.5})

    monkeypatch.setattr(State, "rounded", mistaken)


def logits_are_not_flushed(monkeypatch: Patch) -> None:
    honest = reach.gaps

    def mistaken(head: Any, state: State, labels: Any) -> Any:
        logits, lost, *rest = honest(head, state, labels)
        smaller = np.maximum(lost.value - 4 * state.arithmetic.tiny, 0.0)
        return logits, rounding.Up(smaller), *rest

    monkeypatch.setattr(reach, "gaps", mistaken)


def crossings_round_little(monkeypatch: Patch) -> None:
    monkeypatch.setattr(linear, "mixed_norm", lambda m, *_: m.upper(0.0))


EDGES: dict[str, tuple[Callable[[Patch], None], str]] = {
    "errors do not grow with the distance": (errors_grow_nowhere, "a sum far from the point"),
    "errors of a crossing forgotten": (crossings_round_little, "a sum far from the point"),
    "a doubtful constant near the point alone": (
        constants_round_the_same_everywhere,
        "a factor that is rounded up",
    ),
    "sums within a mean fit": (results_are_the_largest, "a mean that overflows"),
    "underflow forgotten": (nothing_underflows, "a number that a deviation makes large"),
    "logits that are flushed forgotten": (logits_are_not_flushed, "logits that are flushed"),
}


@pytest.mark.parametrize("name", EDGES)
def test_mutants_of_radii_are_reported(name: str, monkeypatch: Patch) -> None:
    mutate, kind = EDGES[name]
    mutate(monkeypatch)
    assert any(loses(kind, norm) for norm in ("l2", "linf", "l1"))


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_a_constant_that_is_too_small_is_reported(name: str, monkeypatch: Patch) -> None:
    """One part in a thousand off, for every operation: some pair of points shows it."""
    kind = operation(name)
    honest = kind.bound

    def mistaken(self: Any, *given: Any) -> Any:
        return honest(self, *given) * 0.999

    monkeypatch.setattr(kind, "bound", mistaken)
    assert found(try_norms, name)


def test_a_radius_that_is_too_large_is_reported(monkeypatch: Patch) -> None:
    import adapter

    honest = adapter.radii
    monkeypatch.setattr(adapter, "radii", lambda *given: honest(*given) * 1.01)
    assert found(try_radii, "dense")
