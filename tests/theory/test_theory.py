"""The theory's constructions and claims, checked exactly; and that false ones are caught."""

from __future__ import annotations

import itertools
import os
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.app import run as lipsort
from lipsort_cli.errors import UsageError
from lipsort_cli.files import read_json
from lipsort_cli.runs import read_record
from lipsort_cli.theory import claims, conversions, gradients, lattice, relu
from lipsort_cli.theory.claims import steep_data
from lipsort_cli.theory.exact import (
    Activation,
    ExactNetwork,
    Select,
    affine,
    inward,
    norm_at_most_one,
    semidefinite,
)
from lipsort_cli.theory.lattice import errors, interpolate, target

F = Fraction
RATIONAL = st.fractions(min_value=-4, max_value=4, max_denominator=50)


# --- norms ------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6))
def test_exact_norms_agree_with_floats(rows: int, columns: int, seed: int) -> None:
    weight = np.random.default_rng(seed).integers(-4, 5, (rows, columns)) / 8
    layer = affine([[F(v) for v in row] for row in weight.tolist()])
    for norm, order in (("l2", 2), ("linf", np.inf), ("l1", 1)):
        value = np.linalg.norm(weight, order)
        if abs(value - 1) > 1e-9:
            assert norm_at_most_one(layer, norm) == (value < 1)


def test_semidefinite() -> None:
    assert semidefinite([[F(0), F(0)], [F(0), F(1)]])
    assert not semidefinite([[F(0), F(1)], [F(1), F(5)]])
    assert not semidefinite([[F(1), F(2)], [F(2), F(1)]])
    assert semidefinite([[F(1), F(1)], [F(1), F(1)]])


def test_a_component_taken_twice_costs_norm_but_not_in_linf() -> None:
    twice = Select((0, 0, 1), 2)
    assert norm_at_most_one(twice, "linf")
    assert not norm_at_most_one(twice, "l2")
    assert not norm_at_most_one(twice, "l1")


@given(st.fractions(min_value=-2, max_value=2))
def test_weights_round_towards_zero(value: Fraction) -> None:
    found = F(inward(value))
    assert abs(found) <= abs(value)
    assert abs(found - value) <= abs(value) / 2**22 + F(1, 2**148)


# --- activations in terms of each other ---------------------------------------------------------


@given(st.lists(RATIONAL, min_size=4, max_size=4))
def test_conversions_are_identities(x: list[Fraction]) -> None:
    pairs = [*sorted(x[:2]), *sorted(x[2:])]
    for norm in ("l2", "linf"):
        assert conversions.absolute_value_by_maxmin(4, norm)(x) == [abs(v) for v in x]
    assert conversions.maxmin_by_absolute_value(4, 4)(x) == pairs
    assert conversions.maxmin_by_fullsort(4, 4)(x) == pairs
    assert conversions.fullsort_by_maxmin(4)(x) == sorted(x)
    assert conversions.fullsort_by_absolute_value(4, 4)(x) == sorted(x)
    assert conversions.absolute_value_by_fullsort(4, 4)(x) == [abs(v) for v in x]
    assert conversions.relu_by_maxmin(4)(x) == [max(v, F(0)) for v in x]


@given(st.integers(1, 12), st.integers(0, 10**6))
def test_fullsort_of_any_width(pairs: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-5, 6, 2 * pairs).tolist()
    assert conversions.fullsort_by_maxmin(2 * pairs)(values) == sorted(values)


def test_conversions_in_float32_are_exact_where_numbers_are() -> None:
    x = torch.randint(-64, 65, (200, 6), generator=torch.Generator().manual_seed(0)) / 16
    with torch.no_grad():
        assert torch.equal(conversions.absolute_value_by_maxmin(6).network()(x), x.abs())
        assert torch.equal(conversions.fullsort_by_maxmin(6).network()(x), x.sort(1).values)
        sorted_pairs = x.view(-1, 3, 2).sort(2).values.view(-1, 6)
        for network in (
            conversions.maxmin_by_absolute_value(6, 4),
            conversions.maxmin_by_fullsort(6, 4),
        ):
            assert torch.equal(network.network()(x), sorted_pairs)
        assert torch.equal(conversions.relu_by_maxmin(6).network()(x), x.clamp_min(0))


def test_bounds_are_needed() -> None:
    outside = [F(-9), F(-8)]
    assert conversions.maxmin_by_absolute_value(2, 1)(outside) != sorted(outside)


@pytest.mark.parametrize("features", [0, 1, 3])
def test_odd_widths_are_refused(features: int) -> None:
    with pytest.raises(ValueError, match="even number"):
        conversions.fullsort_by_maxmin(features)


# --- ReLU ---------------------------------------------------------------------------------------


def cayley(size: int, seed: int) -> list[list[Fraction]]:
    """A rational orthogonal matrix: (I - S)(I + S)^-1 for a skew S."""
    draw = np.random.default_rng(seed).integers(-3, 4, (size, size))
    skew = [[F(int(draw[i, j] - draw[j, i]), 2) for j in range(size)] for i in range(size)]
    plus = [[F(int(i == j)) + skew[i][j] for j in range(size)] for i in range(size)]
    minus = [[F(int(i == j)) - skew[i][j] for j in range(size)] for i in range(size)]
    augmented = [row + other for row, other in zip(plus, minus, strict=True)]
    for k in range(size):
        pivot = next(i for i in range(k, size) if augmented[i][k])
        augmented[k], augmented[pivot] = augmented[pivot], augmented[k]
        augmented[k] = [v / augmented[k][k] for v in augmented[k]]
        for i in range(size):
            if i != k and augmented[i][k]:
                factor = augmented[i][k]
                pairs = zip(augmented[i], augmented[k], strict=True)
                augmented[i] = [a - factor * b for a, b in pairs]
    return [row[size:] for row in augmented]


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_slopes_of_size_one_are_all_the_same(seed: int) -> None:
    """Depth 3, width 3, weights of exact norm 1, every activation pattern."""
    first, second, third = (cayley(3, seed + k) for k in range(3))
    assert norm_at_most_one(affine(second), "l2")
    start = [[row[0]] for row in first]
    # The last row aims at where the vector goes when every unit is active: slope 1 is attained.
    vector = [row[0] for row in first]
    for matrix in (second, third):
        vector = [sum(w * v for w, v in zip(row, vector, strict=True)) for row in matrix]
    weights = [start, second, third, [vector]]
    patterns = list(itertools.product([False, True], repeat=3))
    found = set()
    for pattern in itertools.product(patterns, repeat=3):
        slope, lengths = relu.slope(weights, [list(on) for on in pattern])
        assert abs(slope) <= 1
        assert all(a >= b for a, b in itertools.pairwise([F(1), *lengths]))
        if abs(slope) == 1:
            found.add(slope)
    assert found == {F(1)}


def test_exhaustive_search_and_what_it_would_find() -> None:
    networks, slopes, counterexamples = relu.search()
    assert (networks, slopes, counterexamples) == (12 * 24 * 12, 12 * 24 * 12 * 16, 0)
    # The same arithmetic does find slopes of both signs where lengths are not all kept.
    half = F(1, 2)
    weights = [[[half], [half], [-half], [-half]], [[half] * 4]]
    left = relu.slope(weights, [[False, False, True, True]])[0]
    right = relu.slope(weights, [[True, True, False, False]])[0]
    assert (left, right) == (-half, half)


def test_shallow_bends() -> None:
    assert relu.bend(relu.best_shallow()) == 1
    assert relu.bend(conversions.absolute_value_by_maxmin(1)) == 2
    assert relu.bend(ExactNetwork((affine([[1]]),), 1)) == 0


def test_training_finds_what_the_bound_says() -> None:
    before = torch.random.get_rng_state()
    bent = relu.train_bend(1, "relu", steps=100, restarts=1)
    assert 0.97 < bent.bend <= 1 + 1e-4
    assert relu.train_bend(1, "maxmin", steps=100, restarts=1).bend > 1.95
    assert torch.equal(torch.random.get_rng_state(), before)


# --- the lattice --------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    st.integers(1, 7), st.integers(1, 4), st.sampled_from(["linf", "l2", "l1"]),
    st.integers(2, 4), st.integers(0, 10**6),
)  # fmt: skip
def test_lattice_interpolates(count: int, dim: int, norm: str, group: int, seed: int) -> None:
    points, values = steep_data(count, dim, norm, seed)
    network = interpolate(points, values, norm, group)
    assert [network(p)[0] for p in points] == values
    assert network.mixed(norm)
    # 1-Lipschitz between any two inputs, not only at the data.
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-80, 81, (2, dim)) / 8
    rise = float(abs(network([F(v) for v in x])[0] - network([F(v) for v in y])[0]))
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    assert rise <= np.linalg.norm(x - y, order) * (1 + 1e-12)


def test_lattice_takes_floats_and_becomes_a_network() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((9, 5)).astype(np.float32)
    values = np.abs(points).max(1)  # the L-infinity norm itself
    exact = interpolate(list(points), list(values))
    network = exact.network()
    with torch.no_grad():
        found = network(torch.from_numpy(points))[:, 0].numpy()
    assert np.abs(found - values).max() < 1e-6
    assert claims.constant(exact, "linf") <= 1 + 1e-6


@pytest.mark.parametrize(
    "points, values, norm, words",
    [
        ([[0.0], [1.0]], [0, 2], "linf", r"values\[0\] and values\[1\] differ by 2"),
        ([[0.0, 0.0], [1.0, 1.0]], [0, 1.5], "l2", "no 1-Lipschitz function"),
        ([[1.0], [1.0]], [0, 0], "l1", "same point"),
        ([[0.0], [1.0]], [0], "l2", "2 points and 1 value;"),
        ([], [], "l2", "at least one"),
        ([[0.0], [1.0, 2.0]], [0, 0], "l2", "dimensions"),
        ([[float("nan")]], [0], "l2", "finite"),
        ([[0.0]], [float("inf")], "l2", "finite"),
        ([[0.0]], [0], "l3", "norm"),
    ],
)
def test_unfit_data_are_refused(points: Any, values: Any, norm: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        interpolate(points, values, norm)


def test_group_size_is_checked() -> None:
    with pytest.raises(UsageError, match="group_size"):
        interpolate([[0.0]], [0.0], group_size=1)
    with pytest.raises(ValueError, match="groups of 2"):
        Activation("sort", 2)([F(1)])


# --- gradients of norm 1, and universality ------------------------------------------------------


def test_steepest_gradients_are_those_of_all_patterns() -> None:
    """By brute force over every pattern; and two of them where a slope may be negative."""
    weights = gradients.random_weights(2, [3, 3], random.Random(1))
    first, middle, last = (np.array(w, float) for w in weights)
    lengths = []
    for one in itertools.product((0, 1), repeat=3):
        for two in itertools.product((0, 1), repeat=3):
            found = last @ np.diag(two) @ middle @ np.diag(one) @ first
            lengths.append(float(np.linalg.norm(found)))
    listed = [float(gradients.dot(g, g)) ** 0.5 for g in gradients.gradients(weights)]
    assert {round(x, 9) for x in listed} == {round(x, 9) for x in lengths}
    unit = [[F(3, 5)], [F(4, 5)]]
    assert gradients.steepest([unit, [[F(3, 5), F(4, 5)]]]) == (4, [[F(1)]])
    assert gradients.steepest([unit, [[F(4, 5), F(3, 5)]]]) == (4, [])


@pytest.mark.parametrize("shape", [(4, 4), (2, 5), (5, 2), (1, 4), (4, 1)], ids=str)
def test_completed_weights_keep_what_has_full_length(shape: tuple[int, int]) -> None:
    draw = random.Random(3)
    rows, columns = shape
    left, right = (gradients.random_orthogonal(n, draw) for n in shape)
    values = [F(1), F(1, 2), F(0), F(1)][: min(shape)]
    weight = [
        [sum((left[i][k] * s * right[k][j] for k, s in enumerate(values)), F(0))
         for j in range(columns)]
        for i in range(rows)
    ]  # fmt: skip
    made = gradients.completed(weight)
    assert gradients.singular_values_one(made)
    assert gradients.singular_values_one(weight) == (len(values) == 1)
    space = gradients.isometric_space(weight)
    assert len(space) == values.count(F(1))
    for u in space:
        back = gradients.applied(gradients.transposed(weight), u)
        assert gradients.applied(gradients.transposed(made), u) == back


def test_a_network_that_loses_gradient_is_not_the_same_once_rewritten() -> None:
    half = ExactNetwork((affine([[F(1, 2)]]),), 1)
    assert gradients.rewritten(half)([1]) in ([F(1)], [F(-1)])


def test_universality_is_measured_on_the_network_itself() -> None:
    points = [[F(2 * k + 1, 8)] for k in range(4)]
    network = interpolate(points, [target(x) for x in points])
    places = [[F(k, 40)] for k in range(41)]
    worst = max(abs(float(network(x)[0] - target(x))) for x in places)
    found = {one.points: one for one in errors(1, fine=41)}[4]
    assert found.found == pytest.approx(worst, abs=1e-12) and found.bound == 1 / 4


@pytest.mark.parametrize("fault", ["steep", "missed"])
def test_universality_is_not_proven_by_a_grid_alone(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is called proven rests on rational numbers, not on errors seen in binary64."""
    broken = {"mixed": lambda *_: False} if fault == "steep" else {"__call__": lambda *_: [F(9)]}
    for name, method in broken.items():
        monkeypatch.setattr(ExactNetwork, name, method)
    monkeypatch.setattr(claims, "errors", lattice.errors.__wrapped__)
    monkeypatch.setattr(lattice, "SIDES", {1: (2, 4), 2: (2,)})
    assert not claims.universality(quick=True).holds


# --- the command --------------------------------------------------------------------------------


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert lipsort(["theory", "--quick"]) == 0
    finally:
        os.chdir(before)
    (run,) = tmp_path.glob("outputs/theory/*/*")
    found = read_json(run / "results.json")["claims"]
    assert len(found) == 16 and all(claim["holds"] for claim in found)
    assert {claim["evidence"] for claim in found} == {"proven", "empirical"}
    assert read_record(run)["status"] == "finished"
    pictures = {"absolute_value.png", "lattice.png", "universality.png"}
    assert {p.name for p in (run / "figures").iterdir()} == pictures
    assert "Results: " in capsys.readouterr().out
    with pytest.raises(UsageError, match="holds a run already"):
        lipsort(["theory", str(run)])


def test_command_fails_where_a_claim_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = ExactNetwork((affine([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),), 3)
    monkeypatch.setattr(conversions, "relu_by_maxmin", lambda _: identity)
    assert not claims.CONVERSIONS[-1].check().holds
    double = ExactNetwork((affine([[2]]), Activation("absolute_value")), 1)
    monkeypatch.setattr(relu, "best_shallow", lambda: double)
    assert not claims.shallow_relu_bends_by_one().holds
    monkeypatch.setattr(
        claims, "check_all", lambda **_: [claims.Claim("x", "y", "proven", False, "z")]
    )
    monkeypatch.setattr(claims, "train_all", lambda **_: {})
    monkeypatch.setattr("lipsort_cli.theory.figures.draw_all", lambda *_: [])
    assert lipsort(["theory", str(tmp_path / "run")]) == 1


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert lipsort(["theory", "--help"]) == 0
    assert "--quick" in capsys.readouterr().out
    for bad, words in (
        (["a", "b"], "extra"),
        (["--fast"], "no option '--fast'; allowed: --quick"),
        (["seed=1"], "allowed: --quick"),
    ):
        with pytest.raises(UsageError, match=words):
            lipsort(["theory", *bad])
