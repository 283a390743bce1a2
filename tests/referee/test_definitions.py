"""The referee itself: it knows every operation, and its arithmetics are what they say."""

from __future__ import annotations

from fractions import Fraction

import adapter
import numpy as np
import pytest
from definitions import DEFINITIONS, Node
from drawing import DRAWINGS
from exact_arithmetic import EXACT, precisely
from measures import on_a_line
from networks import draw_inputs, draw_network
from rounded_arithmetic import Machine, Rounded, draw_machine
from trials import exactly, on


def test_every_operation_of_the_verifier_is_defined_and_drawn() -> None:
    assert set(adapter.operations()) == set(DEFINITIONS) == set(DRAWINGS)


def test_networks_are_drawn_around_the_operation_wanted() -> None:
    rng = np.random.default_rng(0)
    for op in DEFINITIONS:
        sizes = set()
        for _ in range(30):
            drawing = draw_network(rng, op)
            assert op in drawing.operations()
            sizes |= {node.shape for node in drawing.chain if node.op == op}
        assert any(min(shape) == 1 for shape in sizes) and len(sizes) > 3, op


def test_fused_sums_are_rounded_once() -> None:
    rng = np.random.default_rng(1)
    values = (rng.standard_normal((40, 3, 4)) * 10.0 ** rng.integers(-5, 5, (40, 3, 4))).astype(
        np.float32
    )
    weights = rng.standard_normal((3, 4)).astype(np.float32)
    found = Rounded(Machine("binary32", fused=True)).affine(values, weights, None)
    for place in np.ndindex(40, 3):
        total = np.float32(0)
        for value, weight in zip(values[place], weights[place[1]], strict=True):
            exact = Fraction(float(value)) * Fraction(float(weight)) + Fraction(float(total))
            total = _nearest(exact)
        assert found[place] == total


def _nearest(value: Fraction) -> np.float32:
    """The binary32 number nearest to a rational, ties to even."""
    guess = np.float32(float(value))
    around = [np.nextafter(guess, np.float32(way)) for way in (-np.inf, np.inf)]
    key = {float(item): abs(Fraction(float(item)) - value) for item in (guess, *around)}
    least = min(key.values())
    best = [np.float32(item) for item, far in key.items() if far == least]
    return min(best, key=lambda item: int(item.view(np.int32)) & 1)


@pytest.mark.parametrize("arithmetic", ["binary32", "binary64"])
def test_machines_stay_within_the_standard_model(arithmetic: str) -> None:
    """Every product and sum of two numbers is within u of the exact one, and some come close."""
    rng = np.random.default_rng(2)
    unit = {"binary32": 2.0**-24, "binary64": 2.0**-53}[arithmetic]
    kind = np.float32 if arithmetic == "binary32" else np.float64
    left, right = rng.standard_normal((2, 200)).astype(kind).astype(np.float64)
    for _ in range(20):
        machine = Rounded(draw_machine(rng, arithmetic))
        a, b = machine.take(left), machine.take(right)
        for made, sign in ((machine.multiply(a, b), "*"), (machine.add(a, b), "+")):
            worst = Fraction(0)
            for x, y, z in zip(left, right, made, strict=True):
                first, second = Fraction(float(x)), Fraction(float(y))
                exact = first * second if sign == "*" else first + second
                worst = max(worst, abs(Fraction(float(z)) - exact) / abs(exact))
            assert Fraction(unit) / 2 < worst <= Fraction(unit)


def test_flushing_takes_subnormal_numbers_for_zero() -> None:
    values = np.array([[2.0**-140, 1.0]])
    weights = np.array([[1.0, 2.0**-130]], dtype=np.float32)
    for flush, expected in (("kept", 2.0**-140 + 2.0**-130), ("everything", 0.0)):
        machine = Rounded(Machine("binary32", flush=flush))
        found = machine.affine(machine.take(values)[:, None, :], weights, None)
        assert found[0, 0] == expected


def test_exact_and_rounded_values_agree_roughly() -> None:
    """Both arithmetics run through one definition: where nothing is extreme they are close."""
    rng = np.random.default_rng(3)
    for op in DEFINITIONS:
        drawing = draw_network(rng, op, extreme=False)
        if drawing.character in ("plain", "ties", "huge bias", "one sign", "sparse"):
            x = draw_inputs(rng, drawing, 4)
            with precisely():
                exact = np.vectorize(float)(exactly(drawing.chain, x))
            found = on(Machine("binary64"), drawing.chain, x)
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4 * abs(exact).max())


def test_balls_contain_what_they_stand_for() -> None:
    rng = np.random.default_rng(4)
    values = rng.integers(-5, 6, (6, 8)).astype(float) / 8
    node = Node("groupsort", (8,), (8,), {"group_size": 4})
    with precisely():
        found = exactly([node], values)
        expected = np.sort(values.reshape(6, 2, 4), axis=2).reshape(6, 8)
        assert (found == EXACT.take(expected)).all()


def test_transport_on_a_line() -> None:
    half = np.array([1.0, 3.0])
    assert on_a_line(np.array([0.0]), np.array([2.0]), None, None) == 2
    assert on_a_line(np.array([0.0, 1.0]), np.array([1.0, 0.0]), None, None) == 0
    assert on_a_line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), half, None) == Fraction(1, 4)
