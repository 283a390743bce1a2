"""`lipsort estimate-wasserstein` from configuration to run directory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lipsort_cli.commands.estimate_wasserstein import directed, run
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.tree import config_root
from lipsort_cli.errors import Interrupted, UsageError
from lipsort_cli.files import read_json
from lipsort_cli.wasserstein.training import CriticTask

Compose = Callable[..., Any]
SYNTHETIC = sorted(set(GROUPS["distribution"]) - {"files", "dataset", "generator"})


def estimate(config: Any, directory: Path) -> dict[str, Any]:
    directory.mkdir(exist_ok=True)
    run(config, directory)
    return read_json(directory / "results.json")


def check(results: dict[str, Any]) -> None:
    """What must hold of every answer."""
    lower, upper = results["lower_bound"], results["upper_bound"]
    assert lower["evidence"] == upper["evidence"] == "proven"
    assert 0 <= lower["value"] <= upper["value"]
    assert results["estimate"]["evidence"] == "empirical"
    for bound in results["bounds"]:
        assert bound["evidence"] in ("proven", "empirical", "confidence 0.95")
        assert bound["method"] and np.isfinite(bound["value"])
        if bound["evidence"].startswith("confidence"):
            assert bound["about"] == "the populations"
    if "certified_value" in results:
        assert results["certified_value"] == pytest.approx(lower["value"], rel=1e-6, abs=1e-9)


SCALES = [
    (name, entry.name, [1e300] * len(entry.default_factory()) if "list" in entry.type else 1e300)
    for name in SYNTHETIC
    for entry in fields(GROUPS["distribution"][name])
    if entry.type in ("float", "list[float]") and not entry.name.endswith("weights")
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "key", "value"), SCALES)
def test_a_scale_beyond_float32_is_refused(
    name: str, key: str, value: Any, compose: Compose, tmp_path: Path
) -> None:
    words = [f"distribution={name}", f"distribution.{key}={value}"]
    if (name, key) == ("three_cones", "radius"):
        words.append("distribution.spacing=1e301")
    with pytest.raises(UsageError, match="numbers up to 2\\^127"):
        run(compose(*words), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_every_synthetic_pair(name: str, compose: Compose, tmp_path: Path) -> None:
    results = estimate(compose(f"distribution={name}"), tmp_path)
    check(results)
    assert results["true"] > 0
    assert results["steps"] == 30 or results["stopped_by"] == "gap"
    assert (tmp_path / "certificate.json").is_file()
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"bounds.png", "critic_values.png"} <= names
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == results["steps"]
    assert read_json(tmp_path / "run.json")["status"] == "finished"


@pytest.mark.usefixtures("no_pictures")
def test_a_run_shorter_than_the_time_between_looks_is_looked_at_once(
    compose: Compose, tmp_path: Path
) -> None:
    results = estimate(compose("training.check_every=100", "training.steps=5"), tmp_path)
    check(results)
    lines = [json.loads(t) for t in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5] == [results["steps"]]


@pytest.mark.usefixtures("no_pictures")
def test_the_screen_says_what_a_known_distance_is_of(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("distribution.dim=3", "distribution.points=30", "training.steps=2")
    results = estimate(compose("distribution=translated_cloud", *words), tmp_path)
    assert results["true_about"] == "the two samples compared"
    shown = " ".join(capsys.readouterr().out.split())
    assert f"True distance of the two samples compared: {results['true']:.6g}" in shown


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_other_ground_metrics(norm: str, compose: Compose, tmp_path: Path) -> None:
    config = compose(
        f"norm={norm}",
        "constraint=linf",
        "distribution=translated_cloud",
        "distribution.dim=3",
        "distribution.points=60",
        "training.steps=300",
        "optimizer.rest_lr=0.03",
        "evaluation.holdout=0",
    )
    results = estimate(config, tmp_path)
    check(results)
    assert results["upper_bound"]["value"] == pytest.approx(results["true"], rel=1e-6)
    assert results["lower_bound"]["value"] > 0.8 * results["true"]


def files(folder: Path, n: int = 40, m: int = 25, dim: int = 3) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    np.save(folder / "p.npy", rng.standard_normal((n, dim)) * 7 + 300)
    np.save(folder / "q.npy", rng.standard_normal((m, dim)) * 7 + 310)
    return folder / "p.npy", folder / "q.npy"


def test_files_with_weights_are_verified(compose: Compose, tmp_path: Path) -> None:
    from lipsort_cli.verifier.verify import verify

    p, q = files(tmp_path)
    np.savetxt(tmp_path / "w.csv", np.arange(40))
    run_directory = tmp_path / "run"
    config = compose(
        "distribution=files",
        f"distribution.p={p}",
        f"distribution.q={q}",
        f"distribution.p_weights={tmp_path / 'w.csv'}",
        "training.steps=200",
        "evaluation.sliced=20",
        "evaluation.sinkhorn=1.0",
    )
    results = estimate(config, run_directory)
    check(results)
    # Clusters about 17 apart: the centring and scaling of the critic find that at once.
    assert results["lower_bound"]["value"] > 0.8 * results["upper_bound"]["value"]
    assert not any(b["about"] == "the populations" for b in results["bounds"])
    assert {"sliced", "Sinkhorn"} <= {b["method"].split()[0] for b in results["bounds"]}
    verdict = verify(run_directory / "certificate.json")
    assert verdict.status == "VALID", verdict


@pytest.mark.usefixtures("no_pictures")
def test_held_out_rows_and_support_give_both_population_bounds(
    compose: Compose, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    np.save(tmp_path / "p.npy", rng.random((300, 2)).astype(np.float32))
    np.save(tmp_path / "q.npy", (rng.random((200, 2)) / 4).astype(np.float32))
    overrides = [
        "distribution=files",
        f"distribution.p={tmp_path / 'p.npy'}",
        f"distribution.q={tmp_path / 'q.npy'}",
        "distribution.rows=120",
        "evaluation.holdout=0",
    ]
    results = estimate(compose(*overrides, "distribution.support=[0,1]"), tmp_path / "run")
    check(results)
    lower, upper = results["population_lower_bound"], results["population_upper_bound"]
    assert "180 + 80 points held out, independent draws" in lower["method"]
    assert lower["method"].startswith("betting")
    assert lower["value"] < results["upper_bound"]["value"] < upper["value"]
    with pytest.raises(UsageError, match=r"distribution\.support"):
        run(compose(*overrides, "distribution.support=[0,0.5]"), tmp_path / "bad")
    with pytest.raises(UsageError, match=r"distribution\.rows"):
        run(compose(*overrides, "distribution.rows=250"), tmp_path / "bad")


@pytest.mark.usefixtures("no_pictures")
def test_transport_beyond_the_limit_is_a_coupling(compose: Compose, tmp_path: Path) -> None:
    results = estimate(compose("evaluation.transport_points=20"), tmp_path)
    check(results)
    assert results["upper_bound"]["method"].startswith("a coupling")


def test_bad_samples_leave_nothing(compose: Compose, tmp_path: Path) -> None:
    p, _q = files(tmp_path)
    np.save(tmp_path / "wide.npy", np.zeros((5, 4)))
    wide = compose(
        "distribution=files", f"distribution.p={p}", f"distribution.q={tmp_path / 'wide.npy'}"
    )
    gone = compose("distribution=files", f"distribution.p={p}", "distribution.q=/nowhere.npy")
    for config, words in ((wide, "of 3 coordinates"), (gone, "no such file")):
        with pytest.raises(UsageError, match=words):
            run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "overrides, words",
    [
        (["constraint=none"], "which is for `lipsort train`"),
        (["norm=linf"], "constraint=linf"),
        (["constraint=linf"], "orthonormal"),
        (["confidence=1"], "confidence"),
        (["seed=-1"], "seed"),
        (["distribution=cone", "distribution.dim=9000000000000000000"], "distribution.dim"),
        (["evaluation.points=9000000000000000000"], "evaluation.points"),
        (["training.batch_size=9000000000000000000"], "training.batch_size"),
        (["distribution=shells", "distribution.p=[]"], "distribution.p"),
        (["distribution=files"], "distribution.p"),
        (["distribution=three_cones", "distribution.dim=0"], "distribution.dim"),
        (["distribution=nowhere"], "distribution"),
    ],
)
def test_bad_configurations(overrides: list[str], words: str, compose: Compose) -> None:
    with pytest.raises(UsageError, match=words):
        compose(*overrides)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("source", ["three_cones", "files"])
def test_interrupted_and_resumed_gives_the_same_weights(
    source: str, compose: Compose, tmp_path: Path, interrupting: Any
) -> None:
    overrides = []
    if source == "files":
        p, q = files(tmp_path)
        overrides = ["distribution=files", f"distribution.p={p}", f"distribution.q={q}"]
    config = compose(*overrides)
    whole = estimate(config, tmp_path / "whole")

    part = tmp_path / "part"
    part.mkdir()
    interrupting(CriticTask, 16)
    with pytest.raises(Interrupted, match="resume="):
        run(config, part)
    assert read_json(part / "run.json")["status"] == "interrupted"
    assert not (part / "results.json").exists()
    torch.manual_seed(12345)
    resumed = estimate(config, part)
    first, second = (load_file(d / "model.safetensors") for d in (tmp_path / "whole", part))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert resumed["lower_bound"]["value"] == whole["lower_bound"]["value"]
    logs = [(d / "metrics.jsonl").read_text() for d in (tmp_path / "whole", part)]
    assert logs[0] == logs[1]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "override", ["training.precision=bfloat16", "training.gradient_clip=1e-3", "seed=1"]
)
def test_what_every_training_has_changes_a_critic_too(
    override: str, compose: Compose, tmp_path: Path
) -> None:
    # Steepest descent takes no notice of a gradient's length; SGD does.
    small = ["optimizer=sgd", "optimizer.lr=0.01", "constraint=bjorck", "training.steps=3"]
    for name, given in (("a", small), ("b", [*small, override])):
        check(estimate(compose(*given), tmp_path / name))
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert any(not np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.usefixtures("no_pictures")
def test_tensorboard_is_written_when_asked_for(compose: Compose, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    estimate(compose("tracker=[tensorboard]", "training.steps=3"), tmp_path)
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.usefixtures("no_pictures")
def test_patience_stops(compose: Compose, tmp_path: Path) -> None:
    config = compose(
        "training.patience=1",
        "training.steps=100",
        "training.check_every=1",
        "optimizer.lr=1e-9",
        "optimizer.rest_lr=1e-9",
    )
    results = estimate(config, tmp_path)
    assert results["stopped_by"] == "improvement"
    assert results["steps"] < 100


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "name",
    sorted(
        path.stem
        for path in (config_root() / "experiment").glob("*.yaml")
        if "lipsort estimate-wasserstein" in path.read_text().splitlines()[1]
        # These need the run of a generator: tests/gan/test_evaluation_runs.py.
        and not path.stem.startswith("generator_distance")
    ),
)
def test_presets_compose_and_run(name: str, compose: Compose, tmp_path: Path) -> None:
    overrides = [
        f"experiment={name}",
        "device=cpu",
        "training.steps=2",
        "training.check_every=1",
        "training.check_points=20",
        "training.batch_size=8",
        "evaluation.points=20",
        "evaluation.confidence_points=20",
        "evaluation.certificate=false",
    ]
    config = compose(*overrides, quick=False)
    if config.distribution.name == "dataset":
        if "LIPSORT_DATA" not in os.environ:
            pytest.skip("LIPSORT_DATA names no folder with MNIST")
        config.distribution.rows = 30
    check(estimate(config, tmp_path))


@pytest.mark.usefixtures("no_pictures")
def test_two_classes_of_a_data_set(compose: Compose, tmp_path: Path) -> None:
    overrides = ["distribution=dataset", "distribution.dataset=digits"]
    results = estimate(compose(*overrides, "distribution.rows=60"), tmp_path)
    check(results)
    assert results["population_upper_bound"]["value"] > results["population_lower_bound"]["value"]
    for bad, words in (("train/x", "train/3"), ("all", "train, test"), ("test/12", "classes 0")):
        with pytest.raises(UsageError, match=words):
            run(compose(*overrides, f"distribution.q={bad}"), tmp_path / "bad")


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(("dim", "said"), [(8, False), (9, True)])
def test_a_first_layer_that_cannot_see_everything_is_said(
    dim: int, said: bool, compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["distribution=cone", f"distribution.dim={dim}", "training.steps=1"]
    estimate(compose(*overrides, "evaluation.certificate=false"), tmp_path)
    output = capsys.readouterr()
    assert ("a first layer of 8 rows" in output.out + output.err) == said


def test_printed_bounds_are_rounded_to_the_side_they_hold_on() -> None:
    value = 0.99999999
    assert directed({"kind": "lower", "value": value}) == ("at least", "0.999999")
    assert directed({"kind": "upper", "value": value}) == ("at most", "1")
    assert directed({"kind": "upper", "value": 1.0000001}) == ("at most", "1.00001")
    assert directed({"kind": "value", "value": value}) == ("about", "1")


@pytest.mark.usefixtures("no_pictures")
def test_the_screen_says_what_a_bound_is_of(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    estimate(compose("distribution=cone", "training.steps=5"), tmp_path)
    shown = " ".join(capsys.readouterr().out.split())
    assert "True distance of the populations: 1; the proven lower bound, which is of the" in shown
    assert "by itself, not all of them jointly" in shown
