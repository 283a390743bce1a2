"""Judging a generator as a whole, and its distance from its data as a command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import composing

from lipsort_cli.commands.estimate_wasserstein import run as estimate
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.typed import to_typed
from lipsort_cli.config.wgan import GanEvaluation, MlpGenerator
from lipsort_cli.data.dataset import Dataset, Split, make_dataset
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import read_json
from lipsort_cli.gan.evaluation import check, distance, evaluate, features
from lipsort_cli.runs import RunRecord
from lipsort_cli.training.classifier import ClassifierTask
from lipsort_cli.wasserstein.training import CriticTask
from lipsort_cli.zoo.generators import Generator, build_generator, save_generator

QUICK = GanEvaluation(sliced=20, critic_steps=15, transport_points=30)


def images(count: int, seed: int) -> Split:
    """Bright left or right halves, with noise: two classes."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=random)
    pixels = 0.3 * torch.rand(count, 1, 4, 4, generator=random)
    side = torch.stack([labels, 1 - labels], 1).float().repeat_interleave(2, 1)
    return Split((pixels + 0.6 * side[:, None, None, :]), labels)


@pytest.fixture(scope="module", autouse=True)
def quick_classifier() -> Iterator[None]:
    """A classifier of a few steps tells halves apart as well; of 16 pixels a small critic does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_STEPS", 30)
        patch.setattr(distance, "_WIDTHS", [64, 64])
        yield


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures out, which other tests draw: they take most of the time."""
    from lipsort_cli.commands import estimate_wasserstein
    from lipsort_cli.gan import evaluation

    monkeypatch.setattr(evaluation, "draw_quality", lambda *_: None)
    monkeypatch.setattr(evaluation, "draw_neighbours", lambda *_: None)
    monkeypatch.setattr(estimate_wasserstein, "draw_all", lambda *_: [])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_dataset("halves", images(150, 0), images(60, 1), validation=0.0, bounds=(0.0, 1.0))


def untrained(shape: tuple[int, ...] = (1, 4, 4), bounds: Any = (0.0, 1.0)) -> Generator:
    torch.manual_seed(0)
    config = MlpGenerator(latent=3, widths=[8])
    return build_generator(config, shape, bounds=bounds).eval()


def test_every_number_says_what_it_is_and_stands_beside_the_data(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(untrained(), dataset, QUICK, tmp_path, 0)
    quality = found.quality
    json.dumps(quality, allow_nan=False)
    measures = quality["measures"]
    assert set(measures) == {
        "sliced_w1",
        "kernel_distance",
        "precision",
        "recall",
        "classes_covered",
        "class_imbalance",
        "nearest_training",
        "w1_transport",
        "w1_lower",
        "w1_population_lower",
    }
    kinds = {key: measure["evidence"] for key, measure in measures.items()}
    assert kinds.pop("w1_transport") == kinds.pop("w1_lower") == "proven"
    assert kinds.pop("w1_population_lower") == "confidence 0.95"
    assert set(kinds.values()) == {"empirical"}
    for measure in measures.values():
        assert {"generated", "data", "better", "title", "method"} <= set(measure)
        # Noise is no picture of halves: the data are better at everything that says so.
        worse, ideal = measure["generated"]["value"], measure["data"]["value"]
        if measure["better"] == "lower":
            assert worse > ideal
        elif measure["better"] == "higher":
            assert worse <= ideal
    assert quality["samples"] == 60 and quality["classifier"]["accuracy"] > 0.9
    assert sum(quality["class_shares"]["generated"]) == pytest.approx(1)
    # Proven bounds of the same samples: the critic's cannot exceed exact transport of all.
    assert measures["w1_population_lower"]["generated"]["value"] > 0
    found.show()
    for name in ("neighbours", "quality"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 1000
    shown = capsys.readouterr().out
    assert "proven" in shown and "confidence 0.95" in shown and "empirical" in shown


@pytest.mark.usefixtures("no_pictures")
def test_the_proven_bounds_are_in_order(dataset: Dataset, tmp_path: Path) -> None:
    config = GanEvaluation(sliced=50, critic_steps=60, transport_points=60)
    measures = evaluate(untrained(), dataset, config, tmp_path, 0).quality["measures"]
    for row in ("generated", "data"):
        exact = measures["w1_transport"][row]["value"]
        assert 0 <= measures["w1_lower"][row]["value"] <= exact
        assert measures["sliced_w1"][row]["value"] <= exact
    assert measures["w1_lower"]["generated"]["value"] > 0.5 * exact


@pytest.mark.usefixtures("no_pictures")
def test_same_seed_same_numbers_with_the_classifier_kept_or_trained_again(
    dataset: Dataset, tmp_path: Path
) -> None:
    """Whatever the state of torch's own random numbers, which is left as it was."""
    first = evaluate(untrained(), dataset, QUICK, tmp_path / "a", 3).quality
    trained = (tmp_path / "a/classifier/model.safetensors").stat().st_mtime_ns
    generator = untrained()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = evaluate(generator, dataset, QUICK, tmp_path / "a", 3).quality
    assert (torch.get_rng_state() == before).all()
    elsewhere = evaluate(untrained(), dataset, QUICK, tmp_path / "b", 3).quality
    assert first == again == elsewhere
    assert (tmp_path / "a/classifier/model.safetensors").stat().st_mtime_ns == trained
    other = evaluate(untrained(), dataset, QUICK, tmp_path / "b", 4).quality
    assert other["measures"]["sliced_w1"] != first["measures"]["sliced_w1"]


@pytest.fixture(scope="module")
def judged(
    dataset: Dataset, quick_classifier: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Where a generator was judged, with the classifier that was trained for it; and how."""
    folder = tmp_path_factory.mktemp("judged")
    return folder, evaluate(untrained(), dataset, QUICK, folder, 0).quality["measures"]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"sliced": 21}, "sliced_w1"),
        ({"neighbours": 1}, "precision"),
        ({"critic_steps": 3}, "w1_lower"),
        ({"transport_points": 20}, "w1_transport"),
        ({"confidence": 0.5}, "w1_population_lower"),
        ({"samples": 30}, "kernel_distance"),
    ],
)
def test_every_option_changes_its_measure(
    changed: dict[str, Any], key: str, dataset: Dataset, judged: tuple[Path, dict[str, Any]]
) -> None:
    folder, before = judged
    config = GanEvaluation(**{**vars(QUICK), **changed})
    assert evaluate(untrained(), dataset, config, folder, 0).quality["measures"][key] != before[key]


@pytest.mark.usefixtures("no_pictures")
def test_what_is_not_asked_for_is_absent(dataset: Dataset, tmp_path: Path) -> None:
    config = GanEvaluation(sliced=20, critic_steps=0, transport_points=0)
    measures = evaluate(untrained(), dataset, config, tmp_path, 0).quality["measures"]
    assert not set(measures) & {
        "w1_transport",
        "w1_lower",
        "w1_population_lower",
    }


def test_points_of_the_plane_need_no_classifier(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        labels = torch.arange(count) % 3
        points = 0.1 * torch.randn(count, 2, generator=random) + 3 * labels[:, None]
        return Split(points, labels)

    data = make_dataset("modes", split(150), split(60), validation=0.0, bounds=None)
    found = evaluate(untrained((2,), None), data, QUICK, tmp_path, 0)
    quality = found.quality
    assert quality["features"] == "coordinates" and "classifier" not in quality
    assert quality["measures"]["classes_covered"]["data"]["value"] == 3
    assert not (tmp_path / "classifier").exists()
    found.show()
    assert (tmp_path / "figures/neighbours.png").is_file()


@pytest.mark.usefixtures("no_pictures")
def test_images_of_one_class_are_compared_by_pixels(tmp_path: Path) -> None:
    train, test = (
        Split(s.inputs, torch.zeros_like(s.labels)) for s in (images(90, 0), images(40, 1))
    )
    data = make_dataset("one", train, test, validation=0.0, bounds=(0.0, 1.0), classes=1)
    quality = evaluate(untrained(), data, QUICK, tmp_path, 0).quality
    assert quality["features"] == "pixels" and "class_shares" not in quality
    assert "classes_covered" not in quality["measures"]


def test_unfit_classifiers_and_data_are_refused_before_anything_is_trained(
    dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"evaluation\.classifier: .*no such directory"):
        check(dataset, GanEvaluation(classifier=str(tmp_path / "none")))
    (tmp_path / "run").mkdir()
    with RunRecord.recording(tmp_path / "run", "wgan", data={"name": "other"}):
        pass
    with pytest.raises(UsageError, match="holds no classifier"):
        check(dataset, GanEvaluation(classifier=str(tmp_path / "run")))
    features.small_classifier(dataset, tmp_path / "other", torch.device("cpu"))
    with RunRecord.recording(tmp_path / "other", "wgan", data={"name": "other"}):
        pass
    with pytest.raises(UsageError, match="classifies other .* give a run of `lipsort train"):
        check(dataset, GanEvaluation(classifier=str(tmp_path / "other")))
    few = make_dataset("few", images(9, 0), images(9, 1), validation=0.0, bounds=None, classes=2)
    with pytest.raises(UsageError, match="few has 9 training and 9 test"):
        check(few, QUICK)


@pytest.mark.usefixtures("no_pictures")
def test_a_classifier_of_another_run_gives_the_same_features(
    dataset: Dataset, tmp_path: Path
) -> None:
    first = evaluate(untrained(), dataset, QUICK, tmp_path / "a", 0).quality
    with RunRecord.recording(tmp_path / "a", "wgan", data=dataset.fingerprint):
        pass
    config = GanEvaluation(**{**vars(QUICK), "classifier": str(tmp_path / "a")})
    second = evaluate(untrained(), dataset, config, tmp_path / "b", 0).quality
    assert second["measures"] == first["measures"]
    assert second["classifier"]["origin"] == str((tmp_path / "a").resolve())
    assert not (tmp_path / "b/classifier").exists()


@pytest.mark.parametrize("kind", [ClassifierTask, CriticTask])
def test_an_interruption_says_how_to_go_on(
    kind: Any, dataset: Dataset, tmp_path: Path, interrupting: Any
) -> None:
    interrupting(kind, 3)
    with pytest.raises(Interrupted, match=f"continue with `lipsort wgan resume={tmp_path}`"):
        evaluate(untrained(), dataset, QUICK, tmp_path, 0)


def test_samples_that_are_not_finite_are_an_error(dataset: Dataset, tmp_path: Path) -> None:
    generator = untrained(bounds=None)
    generator.spread.fill_(torch.inf)
    with pytest.raises(LipsortError, match="not finite"):
        evaluate(generator, dataset, QUICK, tmp_path, 0)


# --- `lipsort estimate-wasserstein distribution=generator` ----------------------------------------

SMALL = [
    "distribution=generator",
    "training.steps=30",
    "training.check_every=10",
    "training.check_points=50",
    "training.batch_size=16",
    "evaluation.points=60",
    "evaluation.confidence_points=200",
    "device=cpu",
    "threads=1",
]
DENSE = ["model.widths=[16,16]", "activation=maxmin"]


@pytest.fixture
def trained_run(tmp_path: Path) -> Path:
    """What `lipsort wgan` leaves, with a generator that was never trained, for the digits."""
    directory = tmp_path / "gan"
    with Composer("wgan") as composer:
        plain = composer.check([], multirun=False)
        config = to_typed(plain, "wgan")
    from omegaconf import OmegaConf

    from lipsort_cli.data import load

    (directory / ".hydra").mkdir(parents=True)
    kept = OmegaConf.masked_copy(plain, [str(key) for key in plain if key != "hydra"])
    OmegaConf.save(kept, directory / ".hydra" / "config.yaml")
    data = load(config.data)
    with RunRecord.recording(directory, "wgan", data=data.fingerprint):
        generator = build_generator(config.generator, data.input_shape, bounds=data.bounds)
        save_generator(directory / "generator.safetensors", generator, config.generator)
    return directory


@pytest.fixture
def answer(trained_run: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``results.json`` of an estimate with some overrides."""

    def answered(*overrides: str) -> dict[str, Any]:
        given = [f"distribution.run={trained_run}", *overrides]
        config = composing("estimate-wasserstein", SMALL)(*given)
        folder = tmp_path / "estimate"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        estimate(config, folder)
        return read_json(folder / "results.json")

    return answered


def test_a_generator_against_its_data(
    answer: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    results = answer(*DENSE)
    assert 0 < results["lower_bound"]["value"] <= results["upper_bound"]["value"]
    assert results["certified_value"] == pytest.approx(results["lower_bound"]["value"], rel=1e-6)
    assert results["population_lower_bound"]["evidence"] == "confidence 0.95"
    assert results["population_upper_bound"]["evidence"] == "confidence 0.95"
    record = read_json(tmp_path / "estimate/run.json")
    assert record["data"]["data"]["name"] == "digits" and record["data"]["generator_sha256"]


@pytest.mark.usefixtures("no_pictures")
def test_options_of_a_generator_as_a_distribution(answer: Callable[..., dict[str, Any]]) -> None:
    base = answer(*DENSE)
    train = answer(*DENSE, "distribution.split=train")
    assert train["upper_bound"]["value"] != base["upper_bound"]["value"]
    # Training examples are no independent draws once the generator has seen them.
    assert "population_upper_bound" not in train and "population_lower_bound" in train
    pool = answer(*DENSE, "distribution.pool=20")
    assert pool["estimate"]["value"] != base["estimate"]["value"]
    again = answer(*DENSE)
    assert again["bounds"] == base["bounds"] and again["estimate"] == base["estimate"]


@pytest.mark.usefixtures("no_pictures")
def test_convolutional_critics_see_images(answer: Callable[..., dict[str, Any]]) -> None:
    results = answer("model=dcgan_critic", "model.channels=[4,8]", "activation=maxmin")
    assert 0 < results["lower_bound"]["value"] <= results["upper_bound"]["value"]
    assert results["certified_value"] == pytest.approx(results["lower_bound"]["value"], rel=1e-6)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "preset", ["generator_distance", "generator_distance_convolutional", "paper/generator_distance"]
)
def test_presets_of_the_distance_run(preset: str, answer: Callable[..., dict[str, Any]]) -> None:
    results = answer(
        f"experiment={preset}", "hydra.mode=RUN", "activation=relu", "training.steps=2"
    )
    assert results["steps"] == 2 and results["lower_bound"]["evidence"] == "proven"


@pytest.mark.usefixtures("no_pictures")
def test_runs_that_hold_no_generator_are_refused(
    answer: Callable[..., dict[str, Any]], trained_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        answer(*DENSE, f"distribution.run={tmp_path / 'nowhere'}")
    with pytest.raises(UsageError, match="is a run of `lipsort train`"):
        other = tmp_path / "train"
        other.mkdir()
        with RunRecord.recording(other, "train"):
            pass
        answer(*DENSE, f"distribution.run={other}")
    (trained_run / "generator.safetensors").write_bytes(b"no tensors")
    with pytest.raises(LipsortError, match="changed or damaged after the run"):
        answer(*DENSE)
    (trained_run / "generator.safetensors").unlink()
    with pytest.raises(LipsortError, match="no such file"):
        answer(*DENSE)


@pytest.mark.parametrize(
    "overrides",
    [
        ["distribution=cone", "model=cnn"],
        ["distribution=generator", "model=dcgan_critic", "norm=linf", "constraint=linf"],
    ],
)
def test_convolutional_critics_are_for_images_in_l2(overrides: list[str]) -> None:
    with Composer("estimate-wasserstein") as composer, pytest.raises(UsageError, match="model"):
        to_typed(composer.check(overrides, multirun=False), "estimate-wasserstein")
