"""Steps on a finite sample take every row once before any comes again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipsort_cli.data.points import make_samples
from lipsort_cli.wasserstein.sources import SampleSource, in_passes


@given(
    rows=st.integers(1, 40),
    count=st.integers(1, 90),
    steps=st.integers(1, 12),
    seed=st.integers(0, 2**40),
)
def test_each_pass_has_every_row_once(rows: int, count: int, steps: int, seed: int) -> None:
    batches = [in_passes(rows, count, step, (seed, 7)) for step in range(steps)]
    assert {len(batch) for batch in batches} == {count}
    taken = np.concatenate(batches)
    for begin in range(0, len(taken), rows):
        one = taken[begin : begin + rows]
        assert len(set(one.tolist())) == len(one)
        assert set(one.tolist()) <= set(range(rows))
    # Of no memory: a step by itself, as after resuming.
    again = in_passes(rows, count, steps - 1, (seed, 7))
    np.testing.assert_array_equal(again, batches[-1])


def _source(weights: np.ndarray | None = None) -> SampleSource:
    p, q = np.arange(30, dtype=np.float32)[:, None], 100 + np.arange(50, dtype=np.float32)[:, None]
    return SampleSource(
        make_samples(p, weights, name="p"),
        make_samples(q, None, name="q"),
        "two",
        rng=np.random.default_rng(0),
        holdout=0.2,
    )


@pytest.mark.parametrize("copies", [1, 30])
def test_rows_held_out_that_repeat_trained_ones_are_said(
    copies: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    p, q = (np.repeat(rng.standard_normal((60, 3)), copies, axis=0) for _ in range(2))
    samples = make_samples(p, None, name="p"), make_samples(q, None, name="q")
    source = SampleSource(*samples, "copies", rng=rng, holdout=0.5)
    assert source.held_out(10, rng) is not None
    said = "rows held out equal rows that the critic was trained on"
    assert capsys.readouterr().err.replace("\n", " ").count(said) == (2 if copies > 1 else 0)


def _taken(source: SampleSource, count: int, steps: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    batches = [source.step_batch(count, rng, (seed, 7), step) for step in range(steps)]
    return [np.concatenate(side)[:, 0] for side in zip(*batches, strict=True)]


def test_both_sides_take_their_rows_to_train_on_and_no_others() -> None:
    source = _source()
    x, y = _taken(source, 8, 5)  # 24 and 40 rows are trained on
    assert len(np.unique(x[:24])) == 24 and len(np.unique(y)) == 40
    for side, rows in enumerate((x, y)):
        exact = source.samples[side].rows(source._trained[side])[:, 0]
        assert set(rows.tolist()) == set(exact.tolist())


def test_passes_sides_and_seeds_have_orders_of_their_own() -> None:
    x, y = _taken(_source(), 8, 15)
    assert not np.array_equal(x[:24], x[24:48])
    assert not np.array_equal(y[:40], y[40:80])
    other, _ = _taken(_source(), 8, 15, seed=1)
    assert not np.array_equal(x[:24], other[:24])


def test_weights_are_drawn_by() -> None:
    trained = _source()._trained[0]
    weights = np.ones(30)
    weights[trained[4]] = 69
    weights[trained[5]] = 0
    source = _source(weights)
    heavy, none = source.samples[0].rows(trained[4:6])[:, 0]
    x, _ = _taken(source, 8, 50)
    assert (x == heavy).mean() == pytest.approx(0.75, abs=0.1)
    assert none not in x


def test_as_many_as_there_are_is_all_of_them() -> None:
    source = _source()
    x, y = source.step_batch(30, np.random.default_rng(0), (0, 7), 3)
    assert len(x) == 24 and len(np.unique(x)) == 24
    assert len(y) == 30 and len(np.unique(y)) == 30


@pytest.mark.parametrize("copies", [1, 30])
def test_copies_are_said_where_no_rows_are_held_out(
    copies: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    p, q = (np.repeat(rng.random((60, 3)), copies, axis=0) for _ in range(2))
    samples = [make_samples(rows, None, name="rows") for rows in (p, q)]
    source = SampleSource(*samples, "copies", rng=rng, support=(0.0, 1.0))
    capsys.readouterr()
    assert source.held_out(0, rng) is None
    assert source.diameters("linf") == (1.0, 1.0)
    said = "bounds for the populations do not hold"
    assert " ".join(capsys.readouterr().err.split()).count(said) == (2 if copies > 1 else 0)
