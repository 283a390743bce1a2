"""The critic that extends the samples' own potential: exact on them, 1-Lipschitz everywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsort_cli.certificates.points import load_network
from lipsort_cli.commands import estimate_wasserstein
from lipsort_cli.commands.estimate_wasserstein import build_task
from lipsort_cli.data.samples import make_samples
from lipsort_cli.errors import Interrupted, UsageError
from lipsort_cli.files import read_json
from lipsort_cli.layers.extension import Extension
from lipsort_cli.training import engine
from lipsort_cli.wasserstein.bounds import SavedCritic, critic_lower
from lipsort_cli.wasserstein.extension import EXACT, ExtensionTask, build_extension, potential
from lipsort_cli.wasserstein.sources import SampleSource
from lipsort_cli.wasserstein.training import CriticTask
from lipsort_cli.wasserstein.transport import costs, exact_transport
from lipsort_cli.zoo import network_graph, save_network

Compose = Callable[..., Any]
FEW = [
    "model=extension",
    "training.steps=30",
    "training.check_every=10",
    "training.check_points=50",
    "training.batch_size=32",
    "evaluation.points=60",
    "evaluation.confidence_points=200",
    "device=cpu",
    "threads=1",
]


def run(config: Any, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    estimate_wasserstein.run(config, directory)


@pytest.fixture
def compose_few(compose: Compose) -> Compose:
    return lambda *overrides: compose(*FEW, *overrides, quick=False)


# --- the layer ------------------------------------------------------------------------------


def brute(layer: Extension, x: np.ndarray) -> np.ndarray:
    centres, bias = layer.centres.double().numpy(), layer.bias.detach().double().numpy()
    distances = np.linalg.norm(x[:, None].astype(np.float64) - centres, axis=2)
    return (bias - distances).max(1)


@given(st.integers(1, 40), st.integers(1, 7), st.sampled_from([0.0, 1e3]), st.integers(0, 10**6))
def test_values_are_the_maximum(n: int, dim: int, offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.standard_normal((n, dim)) + offset).astype(np.float32)
    layer = Extension(torch.from_numpy(points), unit=4.0)
    layer.set_bias_(torch.from_numpy(rng.standard_normal(n)))
    x = np.concatenate([points[:3], (rng.standard_normal((9, dim)) + offset)]).astype(np.float32)
    found = layer(torch.from_numpy(x)).detach().double().numpy()[:, 0]
    wanted = brute(layer, x)
    assert np.abs(found - wanted).max() <= 16 * 2.0**-24 * (np.abs(wanted).max() + 8)
    gaps = np.abs(found[:, None] - found)
    assert (gaps <= np.linalg.norm(x[:, None] - x, axis=2) * (1 + 1e-5) + 1e-4).all()


def test_centres_far_apart_hide_no_maximum() -> None:
    """Squares of 10^6 in float32 would exclude the true maximiser by their rounding."""
    rng = np.random.default_rng(0)
    for spread in (1e3, 1e6, 1e15):
        away = spread * rng.choice([-1.0, 1.0], (300, 6))
        points = (rng.standard_normal((300, 6)) * spread * 1e-6 + away).astype(np.float32)
        layer = Extension(torch.from_numpy(points))
        x = np.concatenate([points[:50], points[:50] * np.float32(1 + 1e-6)])
        found = layer(torch.from_numpy(x)).detach().double().numpy()[:, 0]
        assert (np.abs(found - brute(layer, x)) <= 16 * 2.0**-24 * np.abs(found)).all()
        assert (found[:50] == 0).all()


def test_many_equal_centres_are_one() -> None:
    layer = Extension(torch.ones(20, 3))
    layer.set_bias_(torch.linspace(0, 1, 20))
    x = torch.zeros(4, 3, requires_grad=True)
    values = layer(x)
    values.sum().backward()
    assert torch.allclose(values, torch.full((4, 1), 1 - 3**0.5), atol=1e-6)
    assert layer.parameter.grad is not None
    assert layer.parameter.grad.tolist() == [0.0] * 19 + [4.0]
    assert torch.allclose(x.grad.norm(dim=1), torch.ones(4))  # type: ignore[union-attr]


def test_blocks_change_nothing_and_gradients_have_length_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    layer = Extension(torch.randn(30, 5))
    x = torch.randn(50, 5, requires_grad=True)
    values = layer(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert torch.allclose(gradient.norm(dim=1), torch.ones(50), atol=1e-5)
    monkeypatch.setattr("lipsort_cli.layers.extension._BLOCK", 60)
    assert torch.equal(layer(x), values)
    layer(x).sum().backward()
    assert layer.parameter.grad is not None
    assert layer.parameter.grad.sum() == 50  # each value moves with one bias


def test_unfit_centres_are_refused() -> None:
    for centres in (torch.zeros(0, 2), torch.zeros(3), torch.tensor([[float("nan")]])):
        with pytest.raises(ValueError, match="finite numbers"):
            Extension(centres)


def test_plain_form() -> None:
    network = build_extension([[1.0, 2.0], [3.0, 4.0]], spread=100.0)
    assert isinstance(network.head, Extension)
    network.head.set_bias_(torch.tensor([0.5, -0.25], dtype=torch.float64))
    graph, tensors = network_graph(network)
    assert graph["layers"][-1] == {
        "op": "extension",
        "weight": "layers.1.weight",
        "bias": "layers.1.bias",
    }
    assert graph["classes"] == 1
    assert tensors["layers.1.weight"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert tensors["layers.1.bias"].tolist() == [0.5, -0.25]


# --- the potential ----------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6))
def test_the_potential_attains_the_distance(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-4, 5, (n, 2)).astype(float), rng.integers(-4, 5, (m, 2)).astype(float)
    exact = exact_transport(x, y)
    values = potential(exact.dual_x, costs(x, y, "l2"))
    f_x = (values[:, None] - costs(x, x, "l2")).max(0)
    f_y = (values[:, None] - costs(x, y, "l2")).max(0)
    assert f_x.mean() - f_y.mean() == pytest.approx(exact.value, abs=1e-9)


@given(st.integers(0, 10**6))
def test_unfit_duals_still_give_a_lower_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, 9, 3))
    values = potential(rng.standard_normal(9) * 5, costs(x, y, "l2"))
    f_x = (values[:, None] - costs(x, x, "l2")).max(0)
    f_y = (values[:, None] - costs(x, y, "l2")).max(0)
    assert f_x.mean() - f_y.mean() <= exact_transport(x, y).value + 1e-9


# --- the estimator ----------------------------------------------------------------------------


def test_centres_are_training_points_only(compose_few: Compose, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    p, q = rng.random((40, 2)).astype(np.float32), rng.random((30, 2)).astype(np.float32)
    weights = np.arange(40.0) % 3
    for mass in (None, weights):
        source = SampleSource(
            make_samples(p, mass, name="p"),
            make_samples(q, None, name="q"),
            "files",
            rng=np.random.default_rng(1),
            holdout=0.25,
        )
        task = build_task(compose_few(), source, torch.device("cpu"))
        assert isinstance(task, ExtensionTask) and task.whole
        centres = {tuple(row) for row in task.network.head.centres.tolist()}
        allowed = {tuple(row) for row in p[source._trained[0]].tolist()}
        unseen = {tuple(row) for row in p[source._unseen[0]].tolist()}
        massless = {tuple(row) for row in p[weights == 0].tolist()} if mass is not None else set()
        assert centres == allowed - massless
        assert not centres & unseen


def clouds(folder: Path, count: int = 60) -> list[str]:
    rng = np.random.default_rng(3)
    np.save(folder / "p.npy", rng.standard_normal((count, 6)).astype(np.float32))
    np.save(folder / "q.npy", (rng.standard_normal((count + 7, 6)) + 0.3).astype(np.float32))
    return [
        "distribution=files",
        f"distribution.p={folder / 'p.npy'}",
        f"distribution.q={folder / 'q.npy'}",
        "evaluation.holdout=0",
    ]


@pytest.mark.parametrize("weighted", [False, True])
def test_proves_the_whole_distance_of_the_samples(
    weighted: bool, compose_few: Compose, tmp_path: Path
) -> None:
    from lipsort_cli.verifier.verify import verify

    overrides = clouds(tmp_path)
    if weighted:
        np.savetxt(tmp_path / "w.csv", np.arange(60) % 4)
        overrides.append(f"distribution.p_weights={tmp_path / 'w.csv'}")
    run(compose_few(*overrides), tmp_path / "run")
    results = read_json(tmp_path / "run" / "results.json")
    lower, upper = results["lower_bound"], results["upper_bound"]
    assert lower["evidence"] == "proven"
    assert 0.9999 * upper["value"] < lower["value"] <= upper["value"]
    assert results["stopped_by"] == EXACT and results["steps"] == 0
    assert results["lipschitz_bound"] == pytest.approx(1)
    verdict = verify(tmp_path / "run" / "certificate.json")
    assert verdict.status == "VALID", verdict


@pytest.fixture(scope="module")
def fitted_config() -> Any:
    from lipsort_cli.config.compose import Composer
    from lipsort_cli.config.typed import to_typed

    with Composer("estimate-wasserstein") as composer:
        return to_typed(composer.check(FEW, multirun=False), "estimate-wasserstein")


@settings(max_examples=10)
@given(
    n=st.integers(2, 9),
    m=st.integers(2, 9),
    dim=st.integers(1, 3),
    weighted=st.booleans(),
    size=st.sampled_from([1.0, 2.0**-20, 3e5]),
    seed=st.integers(0, 10**6),
)
def test_never_above_exact_transport(
    n: int, m: int, dim: int, weighted: bool, size: float, seed: int, fitted_config: Any
) -> None:
    """Duplicates, points of both samples, weights of zero, and scales that float32 rounds."""
    rng = np.random.default_rng(seed)
    x = (rng.integers(-2, 3, (n, dim)) * size).astype(np.float32)
    y = (rng.integers(-2, 3, (m, dim)) * size + size / 3).astype(np.float32)
    weights = rng.integers(0, 3, n) + np.eye(1, n)[0] if weighted else None
    source = SampleSource(
        make_samples(x, weights, name="x"), make_samples(y, None, name="y"), "files", rng=rng
    )
    with tempfile.TemporaryDirectory() as folder:
        task = build_task(fitted_config, source, torch.device("cpu"))
        engine.run(task, engine.Session(Path(folder), "estimate-wasserstein"))
        save_network(task.network, Path(folder) / "model.safetensors")
        critic = SavedCritic.of(load_network(Path(folder) / "model.safetensors"), "l2")
    measures = source.compared(0, rng)
    values = critic.values(measures.x), critic.values(measures.y)
    lower = critic_lower(critic, *values, measures).value
    exact = exact_transport(*measures)
    assert lower <= exact.upper
    # The biases are float32: their rounding is what is lost.
    assert lower >= exact.value - 4 * 2.0**-24 * float(np.abs(x).max() + np.abs(y).max()) * dim


@pytest.mark.usefixtures("no_pictures")
def test_subgradients_improve_where_the_samples_are_not_all_fitted(
    compose_few: Compose, tmp_path: Path
) -> None:
    overrides = [*clouds(tmp_path, 400), "model.centres=60", "training.check_points=400"]
    run(compose_few(*overrides, "training.steps=1", "training.batch_size=1"), tmp_path / "start")
    steps = ["training.steps=300", "training.batch_size=400", "optimizer.rest_lr=0.02"]
    run(compose_few(*overrides, *steps), tmp_path / "run")
    start, end = (read_json(tmp_path / name / "results.json") for name in ("start", "run"))
    assert end["steps"] == 300
    assert 0 < start["lower_bound"]["value"] < end["lower_bound"]["value"]
    assert end["lower_bound"]["value"] <= end["upper_bound"]["value"]


@pytest.mark.usefixtures("no_pictures")
def test_interrupted_and_resumed_gives_the_same_weights(
    compose_few: Compose, tmp_path: Path, interrupting: Any
) -> None:
    config = compose_few("distribution=three_cones", "model.centres=40")
    run(config, tmp_path / "whole")
    interrupting(CriticTask, 16)
    with pytest.raises(Interrupted):
        run(config, tmp_path / "part")
    run(config, tmp_path / "part")
    first, second = (tmp_path / name / "model.safetensors" for name in ("whole", "part"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("no_pictures")
def test_a_finished_fit_is_not_solved_again(
    compose_few: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose_few(*clouds(tmp_path))
    solved: list[int] = []
    from lipsort_cli.wasserstein import bounds, extension

    original = bounds.exact_transport

    def counting(*arguments: Any, **options: Any) -> Any:
        solved.append(1)
        return original(*arguments, **options)

    monkeypatch.setattr(extension, "exact_transport", counting)
    monkeypatch.setattr(bounds, "exact_transport", counting)
    run(config, tmp_path / "run")
    assert len(solved) == 1  # the fit's serves as the upper bound too
    before = read_json(tmp_path / "run" / "results.json")
    run(config, tmp_path / "run")
    after = read_json(tmp_path / "run" / "results.json")
    assert after["lower_bound"] == before["lower_bound"]


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_other_ground_metrics_are_refused(norm: str, compose_few: Compose) -> None:
    with pytest.raises(UsageError, match=r"model=extension, whose distances are L2"):
        compose_few(f"norm={norm}")


def test_it_is_no_classifier() -> None:
    from lipsort_cli.cli.launch import launch
    from lipsort_cli.config.schema import find

    command = find("train")
    assert command is not None
    with pytest.raises(UsageError, match="extension, which is for `lipsort est"):
        launch(command, ["model=extension"])
