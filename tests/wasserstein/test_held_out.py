"""What a critic is judged on shapes neither it, nor its clipping range, nor the bound quoted.

For every kind of source, points that are held out (and rows beyond ``distribution.rows``) are moved
far away; the critic must come out the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lipsort_cli import data
from lipsort_cli.commands.estimate_wasserstein import build_task
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.data.dataset import Dataset, Split
from lipsort_cli.errors import UsageError
from lipsort_cli.gan import runs
from lipsort_cli.gan.evaluation import distance
from lipsort_cli.training import engine
from lipsort_cli.wasserstein.bounds import SavedCritic, confidence_lower
from lipsort_cli.wasserstein.build import PAIRS, build_source
from lipsort_cli.wasserstein.confidence import BOUNDS
from lipsort_cli.wasserstein.sources import SampleSource, Source
from lipsort_cli.wasserstein.training import EXTRA, HELD_OUT, CriticTask, stream

Compose = Callable[..., Any]
Rows = np.ndarray
Moved = dict[str, np.ndarray]
"""Which rows of each side to move."""

FAST = ["training.steps=12", "training.check_every=4"]
FEW = [*FAST, "training.check_points=50", "training.batch_size=16", "device=cpu", "threads=1"]
MLP = [*FEW, "model.widths=[8,8]"]
SOLVED = [*FEW, "model=extension"]
TRAINED = [*SOLVED, "model.centres=20", "evaluation.transport_points=5"]
DISTRIBUTIONS = GROUPS["distribution"]
KINDS = sorted(set(DISTRIBUTIONS) - {"files", "dataset", "generator", "translated_cloud"})


def moved(rows: Rows, index: np.ndarray | None, seed: int = 5) -> Rows:
    """The rows with some of them elsewhere: far off, and no longer float32."""
    if index is None or not len(index):
        return rows
    result = rows.astype(np.float64)
    rng = np.random.default_rng(seed)
    result[index] = 1e3 + 77.7 * rng.standard_normal(result[index].shape)
    return result


def fit(config: Any, source: Source, folder: Path) -> tuple[CriticTask, tuple[float, float]]:
    folder.mkdir(parents=True)
    task = build_task(config, source, torch.device("cpu"))
    engine.run(task, engine.Session(folder, "estimate-wasserstein"))
    return task, task.seen(5000, stream(task.seed, EXTRA))


def source_of(config: Any) -> Source:
    return build_source(config)


def assert_same(config: Any, first: Source, second: Source, folder: Path) -> None:
    """Two sources that differ in what they hold out give one critic and one clipping range."""
    (one, seen), (other, also) = (
        fit(config, source, folder / name) for name, source in (("a", first), ("b", second))
    )
    states = one.network.state_dict(), other.network.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert (seen, one.stopped, one.at.step) == (also, other.stopped, other.at.step)
    before, after = (s.held_out(50, stream(config.seed, HELD_OUT)) for s in (first, second))
    assert before is not None and after is not None
    assert not np.array_equal(np.asarray(before[0][:]), np.asarray(after[0][:]))


def cloud(seed: int, count: int = 60) -> Rows:
    return np.random.default_rng(seed).random((count, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("model", "norm", "rows"),
    [
        (MLP, "l2", None),
        (MLP, "linf", 40),
        (MLP, "l1", 40),
        (TRAINED, "l2", 40),
        (SOLVED, "l2", 40),
    ],
    ids=["l2", "linf", "l1", "extension trained", "extension solved"],
)
def test_files(
    model: list[str], norm: str, rows: int | None, compose: Compose, tmp_path: Path
) -> None:
    def given(folder: Path, unseen: Sequence[np.ndarray | None]) -> Any:
        folder.mkdir()
        for side, index in zip("pq", unseen, strict=True):
            np.save(folder / f"{side}.npy", moved(cloud(ord(side)), index))
        files = [f"distribution.{side}={folder / side}.npy" for side in "pq"]
        if rows:
            files.append(f"distribution.rows={rows}")
        constraint = [] if norm == "l2" else ["constraint=linf"]
        return compose(
            "distribution=files", *files, f"norm={norm}", *constraint, *model, quick=False
        )

    config = given(tmp_path / "before", (None, None))
    first = source_of(config)
    assert isinstance(first, SampleSource)
    for unseen in first._unseen:
        assert len(unseen) == (60 - rows if rows else 0) + int(0.2 * (rows or 60))
    second = source_of(given(tmp_path / "after", first._unseen))
    assert_same(config, first, second, tmp_path)


def test_unseen_levels_do_not_turn_numbers_into_pixels(compose: Compose, tmp_path: Path) -> None:
    """0 and 1 are numbers, other levels pixels: which they are must show in the rows trained on."""
    levels = {side: np.random.default_rng(ord(side)).integers(0, 2, (60, 3, 3)) for side in "pq"}

    def source(unseen: Sequence[np.ndarray]) -> SampleSource:
        for side, index in zip("pq", unseen, strict=True):
            changed = levels[side].astype(np.uint8)
            changed[index] *= 255
            np.save(tmp_path / f"{side}.npy", changed)
        files = [f"distribution.{side}={tmp_path / side}.npy" for side in "pq"]
        found = source_of(compose("distribution=files", *files, *MLP, quick=False))
        assert isinstance(found, SampleSource)
        return found

    none = np.zeros(0, dtype=np.int64)
    unseen, trained = source((none, none))._unseen, source((none, none))._trained
    with pytest.raises(UsageError, match=r"distribution\.p: .*0 and 1 alone in the rows to train"):
        source(unseen)
    assert source(trained).spread > 0


def test_a_data_set(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = compose("distribution=dataset", "distribution.dataset=digits", *FAST)
    first = source_of(config)
    assert isinstance(first, SampleSource)
    load = data.load

    def changed(request: Any) -> Dataset:
        found = load(request)
        inputs = found.train.inputs.clone()
        for label, unseen in zip((3, 8), first._unseen, strict=True):
            members = (found.train.labels == label).nonzero()[:, 0]
            inputs[members[torch.from_numpy(unseen)]] = 1.0
        return replace(found, train=Split(inputs, found.train.labels))

    monkeypatch.setattr(data, "load", changed)
    assert_same(config, first, source_of(config), tmp_path)


@pytest.mark.parametrize(
    ("parts", "apart"),
    [
        (("train/3", "train/8"), True),
        (("train", "test"), True),
        (("train/3", "test/3"), True),
        (("train", "train/3"), False),
        (("train/03", "train/3"), False),
        (("test", "test"), False),
    ],
)
def test_parts_that_share_rows_say_nothing_of_populations(
    parts: tuple[str, str], apart: bool, compose: Compose
) -> None:
    words = [f"distribution.{side}={part}" for side, part in zip("pq", parts, strict=True)]
    source = source_of(compose("distribution=dataset", "distribution.dataset=digits", *words, *MLP))
    assert (source.diameters("l2") is not None) == apart
    assert (source.held_out(100, np.random.default_rng(0)) is not None) == apart


def test_rows_held_out_that_the_other_side_was_trained_on_are_said(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in "pq":
        np.save(tmp_path / f"{side}.npy", cloud(0))
    files = [f"distribution.{side}={tmp_path / side}.npy" for side in "pq"]
    source = source_of(compose("distribution=files", *files, *MLP, quick=False))
    source.held_out(100, np.random.default_rng(0))
    assert "rows held out equal rows that the critic was trained on" in capsys.readouterr().err


@pytest.mark.parametrize("pool", ["null", "30"])
def test_a_generator_and_its_data(
    pool: str, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / runs.GENERATOR).write_bytes(b"weights")

    def opened(test: Rows) -> Any:
        parts = [
            Split(torch.from_numpy(r.astype(np.float32)), torch.zeros(len(r), dtype=torch.long))
            for r in (cloud(1), cloud(2), test)
        ]
        dataset = Dataset("cloud", *parts, classes=1, bounds=None)
        return runs.TrainedGenerator(tmp_path, SimpleNamespace(bounded=False), dataset)  # type: ignore[arg-type]

    monkeypatch.setattr(
        runs, "sampler", lambda *_: lambda count, rng: rng.random((count, 4), dtype=np.float32)
    )
    config = compose("distribution=generator", f"distribution.pool={pool}", *FAST)
    sources = []
    for test in (cloud(3), moved(cloud(3), np.arange(60))):
        monkeypatch.setattr(runs, "open_generator", lambda run, test=test: opened(test))
        sources.append(source_of(config))
    given = [s.held_out(50, stream(0, HELD_OUT)) for s in sources]
    assert all(pair is not None for pair in given)
    assert not np.array_equal(given[0][1], given[1][1])  # type: ignore[index]
    critics = [fit(config, s, tmp_path / f"{i}") for i, s in enumerate(sources)]
    for one, other in zip(*(c.network.state_dict().values() for c, _ in critics), strict=True):
        assert torch.equal(one, other)
    assert critics[0][1] == critics[1][1]


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_pairs(kind: str, compose: Compose, tmp_path: Path) -> None:
    """Held out are fresh points: drawn before, after or never, and from a stream of their own."""
    assert kind in PAIRS
    config = compose(f"distribution={kind}", *FAST)
    first, second = source_of(config), source_of(config)
    drawn = second.held_out(500, stream(config.seed, HELD_OUT))
    assert drawn is not None
    one, seen = fit(config, first, tmp_path / "a")
    other, also = fit(config, second, tmp_path / "b")
    for left, right in zip(
        one.network.state_dict().values(), other.network.state_dict().values(), strict=True
    ):
        assert torch.equal(left, right)
    assert seen == also
    trained = first.batch(500, stream(config.seed, 0))[0]
    if len(np.unique(drawn[0][:], axis=0)) > 10:
        assert not np.array_equal(np.asarray(drawn[0][:]), trained)


def test_a_cloud_holds_nothing_out(compose: Compose) -> None:
    source = source_of(compose("distribution=translated_cloud"))
    assert isinstance(source, SampleSource)
    assert source.held_out(50, stream(0, HELD_OUT)) is None


def test_every_kind_of_source_is_listed() -> None:
    assert {*KINDS, "files", "dataset", "generator", "translated_cloud"} == DISTRIBUTIONS.keys()


def test_the_fresh_critic_of_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    save = distance.save_network

    def recorded(network: Any, path: Path) -> None:
        kept.append({k: v.clone() for k, v in network.state_dict().items()})
        save(network, path)

    ranges: list[tuple[float, float]] = []

    def clipped(critic: SavedCritic, seen: tuple[float, float], *rest: Any) -> Any:
        ranges.append(seen)
        return confidence_lower(critic, seen, *rest)

    monkeypatch.setattr(distance, "save_network", recorded)
    monkeypatch.setattr(distance.found, "confidence_lower", clipped)
    for unseen in (cloud(3), moved(cloud(3), np.arange(60)).astype(np.float32)):
        sides = distance.Sides("pair", (cloud(1), cloud(2)), (unseen, unseen[::-1] + 0.5))
        distance.fresh_bounds(
            sides, steps=5, confidence=0.95, seed=1, device=torch.device("cpu"), run=Path("run")
        )
    assert all(torch.equal(value, kept[1][name]) for name, value in kept[0].items())
    assert ranges[0] == ranges[1]


@pytest.mark.parametrize("bound", sorted(BOUNDS))
def test_the_bound_that_is_quoted_is_chosen_beforehand(
    bound: str, compose: Compose, tmp_path: Path
) -> None:
    """The one that was asked for, also where another comes out larger on these points."""
    from lipsort_cli.commands.estimate_wasserstein import evaluate_critic
    from lipsort_cli.zoo import save_network

    config = compose("distribution=cone", "distribution.dim=2", f"evaluation.bound={bound}", *FAST)
    task, _ = fit(config, source_of(config), tmp_path / "a")
    save_network(task.network, tmp_path / "a" / "model.safetensors")
    results = evaluate_critic(config, task, tmp_path / "a")
    assert results["population_lower_bound"]["method"].startswith(bound)
