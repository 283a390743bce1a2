"""Whole runs of `lipsort wgan`: the same weights however often interrupted; what is written."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image, ImageSequence
from safetensors.torch import load_file

from lipsort_cli.commands.wgan import build_task, run
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.data import PATTERNS
from lipsort_cli.config.schema import GROUPS
from lipsort_cli.config.tree import config_root
from lipsort_cli.data import load
from lipsort_cli.errors import Interrupted, LipsortError, UsageError
from lipsort_cli.files import read_json, write_json
from lipsort_cli.gan.training import GanTask
from lipsort_cli.zoo.generators import load_generator, sample

Compose = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("unjudged")


def wgan(config: Any, directory: Path) -> dict[str, Any]:
    directory.mkdir(exist_ok=True)
    run(config, directory)
    results: dict[str, Any] = read_json(directory / "results.json")
    return results


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (directory / "metrics.jsonl").read_text().splitlines()]


def same(first: Path, second: Path) -> bool:
    names = ("generator.safetensors", "critic.safetensors")
    return all((first / n).read_bytes() == (second / n).read_bytes() for n in names)


@pytest.mark.pictures
def test_run_directory(compose: Compose, tmp_path: Path, capsys: Any) -> None:
    results = wgan(compose(), tmp_path)
    assert read_json(tmp_path / "run.json")["status"] == "finished"
    assert results["steps"] == 6
    assert results["critic_steps"] == 12
    assert results["distance"]["evidence"] == results["critic_gap"]["evidence"] == "empirical"
    assert results["distance"]["kind"] == "lower"
    assert results["evidence"]["lipschitz_bound"] == "proven"
    assert results["gradient_norm"]["largest"] <= results["lipschitz_bound"] * (1 + 1e-5)
    for name in ("samples.png", "training.png", "film.gif", "film/0000.png", "film/0001.png"):
        assert (tmp_path / "figures" / name).stat().st_size > 0
    with Image.open(tmp_path / "figures" / "film.gif") as film:
        assert len(list(ImageSequence.Iterator(film))) == 2
    samples = sample(load_generator(tmp_path / "generator.safetensors"), 5, 0)
    assert samples.shape == (5, 1, 8, 8)
    logged = lines(tmp_path)
    assert [line["step"] for line in logged] == [2, 4, 6]
    assert {"critic_gap", "w1_lower", "gradient_norm", "generator_loss", "lr"} <= set(logged[0])
    shown = capsys.readouterr().out
    assert "W1 of minibatches in L2 >= " in shown
    assert "distribution.run=" in shown.splitlines()[-1]


@pytest.mark.parametrize("name", ["clip", "gp", "sn"])
def test_a_value_that_is_no_distance_is_not_called_one(
    name: str, compose: Compose, tmp_path: Path, capsys: Any
) -> None:
    results = wgan(compose(f"critic={name}"), tmp_path)
    assert "distance" not in results
    assert all("w1_lower" not in line for line in lines(tmp_path))
    shown = capsys.readouterr().out
    assert "no distance" in shown
    assert "W1" not in shown.replace("judging", "")


@pytest.mark.usefixtures("unpictured")
@pytest.mark.parametrize(
    "overrides",
    [
        ["critic=groupsort"],
        ["critic=gp", "generator=dcgan", "generator.channels=4"],
        ["critic=sn", "critic.channels=[4]"],
        ["critic=clip", "data=toy", "data.points=100", "training.average=0"],
        ["critic=relu", "critic.channels=[4,4]", "critic.loss=hinge"],
    ],
    ids=" ".join,
)
def test_interrupted_again_and_again_ends_with_the_same_weights(
    overrides: list[str], compose: Compose, tmp_path: Path, interrupting: Any
) -> None:
    config = compose(*overrides)
    whole, part = tmp_path / "whole", tmp_path / "part"
    first = wgan(config, whole)
    interrupting(GanTask, 0, 2, 3)
    part.mkdir()
    for _ in range(3):
        with pytest.raises(Interrupted, match="resume="):
            run(config, part)
        assert read_json(part / "run.json")["status"] == "interrupted"
        assert not (part / "results.json").exists()
        torch.manual_seed(12345)
    second = wgan(config, part)
    assert same(whole, part)
    assert (whole / "metrics.jsonl").read_text() == (part / "metrics.jsonl").read_text()
    for values in (first, second):
        del values["train_seconds"], values["seconds"]
    assert first == second
    names = [sorted(p.name for p in (d / "figures" / "film").iterdir()) for d in (whole, part)]
    assert names[0] == names[1]


@pytest.mark.usefixtures("unpictured")
def test_same_seed_same_weights_other_seed_others(compose: Compose, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.manual_seed(len(name) + seed)
        wgan(compose(f"seed={seed}", "training.steps=3"), tmp_path / name)
    assert same(tmp_path / "a", tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "c")


def weights(config: Any, folder: Path, steps: int = 2) -> list[torch.Tensor]:
    """Both networks after a few steps."""
    task = build_task(config, load(config.data), torch.device("cpu"), folder)
    for _ in range(steps):
        task.step()
        task.at.step += 1
    networks = (task.average.generator, task.critic.network)
    return [value.clone() for network in networks for value in network.state_dict().values()]


def differ(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    shapes = [[value.shape for value in values] for values in (first, second)]
    return shapes[0] != shapes[1] or not all(map(torch.equal, first, second))


GROUPSORT = [
    "generator.latent=5",
    "generator.lr=0.01",
    "generator.beta1=0.1",
    "generator.beta2=0.5",
    "generator.widths=[8]",
    "generator.normalisation=none",
    "generator=dcgan",
    "critic.steps=1",
    "critic.lr=0.1",
    "critic.beta1=0.5",
    "critic.beta2=0.5",
    "critic.lipschitz=3",
    "critic.activation=maxmin",
    "critic.activation=groupsort",
    "critic.channels=[4]",
    "critic.widths=[8]",
    "critic=relu",
    "schedule=constant",
    "training.steps=7",
    "training.average=0.1",
    "training.batch_size=8",
    "training.gradient_clip=1e-3",
    "data.validation=0.5",
    "seed=1",
]
OTHERS = [
    # What both have, and what one has besides.
    ["training.precision=float32", "training.precision=bfloat16"],
    ["critic.lipschitz=10", "critic.loss=hinge"],
    ["generator.output=linear", "generator.output=sigmoid"],
    ["critic.activation=groupsort", "critic.group_size=8"],
    ["generator=dcgan", "generator.channels=4"],
    ["critic=gp", "critic.penalty=1"],
    ["critic=gp", "critic.slope=0.5"],
    ["critic=gp", "critic.beta1=0.5"],
    ["critic=gp", "critic.beta2=0.5"],
    ["critic=gp", "critic.lr=0.01"],
    ["critic=clip", "critic.clip=0.1"],
    ["critic=sn", "critic.iterations=5"],
    ["critic=sn", "critic.lipschitz=2"],
]


def changed(compose: Compose, *overrides: str) -> Any:
    """A small configuration with some overrides; groups are composed, which takes time."""
    groups = tuple(text for text in overrides if "." not in text.partition("=")[0])
    if groups not in _COMPOSED:
        _COMPOSED[groups] = compose("generator.latent=4", *groups)
    config = copy.deepcopy(_COMPOSED[groups])
    if config.generator.name == "mlp":
        config.generator.widths = [16]
    for text in (text for text in overrides if text not in groups):
        key, _, value = text.partition("=")
        *path, name = key.split(".")
        node = config
        for part in path:
            node = getattr(node, part)
        assert hasattr(node, name), key
        setattr(node, name, yaml.safe_load(value))
    return config


_COMPOSED: dict[tuple[str, ...], Any] = {}


def test_every_key_changes_the_weights(compose: Compose, tmp_path: Path) -> None:
    base = weights(changed(compose), tmp_path)
    assert not differ(base, weights(changed(compose), tmp_path))
    for override in GROUPSORT:
        assert differ(base, weights(changed(compose, override), tmp_path)), override
    for common, override in OTHERS:
        first, second = changed(compose, common), changed(compose, common, override)
        assert differ(weights(first, tmp_path), weights(second, tmp_path)), override


@pytest.mark.usefixtures("unpictured")
def test_the_clock_ends_a_run(compose: Compose, tmp_path: Path) -> None:
    config = compose("training.steps=1000000", "training.seconds=0.3")
    results = wgan(config, tmp_path)
    assert 1 <= results["steps"] < 1000
    assert 0.3 <= results["train_seconds"] < 5
    # The schedule followed the clock to its end.
    assert lines(tmp_path)[-1]["step"] == results["steps"]
    assert lines(tmp_path)[-1]["lr"] < 0.5 * config.generator.lr


@pytest.mark.parametrize("pattern", PATTERNS)
def test_toy_sets(pattern: str, compose: Compose, tmp_path: Path, request: Any) -> None:
    if pattern != "swiss_roll":
        request.getfixturevalue("unpictured")  # one film of points will do
    config = compose("data=toy", f"data.pattern={pattern}", "data.points=200", "training.steps=2")
    wgan(config, tmp_path)
    samples = sample(load_generator(tmp_path / "generator.safetensors"), 100, 0)
    assert samples.shape == (100, 2)
    assert samples.isfinite().all()


@pytest.mark.usefixtures("unpictured")
def test_a_folder_of_images(compose: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(9):
        Image.new("RGB", (12, 12), (20 * i, 5, 250 - 20 * i)).save(folder / f"{i}.png")
    config = compose(
        "data=folder", f"data.path={folder}", "generator=dcgan", "critic.channels=[4]",
        "training.steps=2",
    )  # fmt: skip
    results = wgan(config, tmp_path / "run")
    assert results["evidence"]["lipschitz_bound"] == "proven"
    generator = load_generator(tmp_path / "run" / "generator.safetensors")
    assert sample(generator, 2, 0).shape == (2, 3, 12, 12)


@pytest.mark.usefixtures("unpictured")
def test_a_damaged_or_foreign_checkpoint_is_named(
    compose: Compose, tmp_path: Path, interrupting: Any
) -> None:
    interrupting(GanTask, 2)
    with pytest.raises(Interrupted):
        run(compose(), tmp_path)
    for override in ("critic.widths=[8]", "generator.widths=[8]", "critic.steps=1"):
        with pytest.raises(UsageError, match=rf"{override.split('=')[0]}: found .*, allowed"):
            run(compose(override), tmp_path)
    record = read_json(tmp_path / "run.json")
    write_json(tmp_path / "run.json", record | {"data": record["data"] | {"sha256": "0" * 64}})
    with pytest.raises(LipsortError, match="trained on other data"):
        run(compose(), tmp_path)
    write_json(tmp_path / "run.json", record)
    state = tmp_path / "checkpoint" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(LipsortError, match=r"state\.pt is damaged"):
        run(compose(), tmp_path)
    shutil.rmtree(tmp_path / "checkpoint")
    assert wgan(compose(), tmp_path)["steps"] == 6


def test_divergence_is_named(compose: Compose, tmp_path: Path) -> None:
    config = compose("generator.lr=1e30", "generator.output=linear", "training.steps=50")
    with pytest.raises(LipsortError, match=r"lower generator\.lr"):
        run(config, tmp_path)
    assert read_json(tmp_path / "run.json")["status"] == "failed"


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["critic.activation=maxmin", "critic.widths=[7]"],
            ["critic.widths[0]: found 7", "groups of 2", "6 or 8"],
        ),
        (["critic.widths=[]"], ["critic.widths: found []"]),
        (
            ["critic.channels=[4,6]", "critic.activation=groupsort"],
            ["critic.channels[1]: found 6", "groups of 4"],
        ),
        (["data=toy", "generator=dcgan"], ["generator: found dcgan with data=toy"]),
        (["data=toy", "critic.channels=[4]"], ["critic.channels: found [4] with data=toy"]),
        (["data=toy", "data.pattern=moon"], ["data.pattern: found 'moon'", "swiss_roll"]),
        (["data=folder"], ["data.path: required"]),
        (["critic=gan"], ["critic: found gan; allowed: clip, gp, groupsort, lipschitz, relu, sn"]),
        (["critic=gp", "model=mlp"], ["model: found mlp with critic=gp", "critic=lipschitz"]),
        (["critic=clip", "norm=linf"], ["norm: found linf with critic=clip"]),
        (["model=extension"], ["model: found extension", "lenet"]),
        (["model=sortnet"], ["model: found sortnet"]),
        (["constraint=none"], ["constraint: found none"]),
        (["constraint=linf"], ["constraint: found linf with norm=l2"]),
        (["norm=linf"], ["constraint: found orthonormal with norm=linf"]),
        (["model=cnn", "constraint=linf", "norm=linf"], ["convolutional critics are for norm=l2"]),
        (["model=cnn", "data=toy"], ["model: found cnn with data=toy"]),
        (["model=mlp", "model.widths=[7]", "activation=maxmin"], ["model.widths[0]: found 7"]),
        (["critic.steps=0"], ["critic.steps: found 0; allowed: >= 1"]),
        (["training.seconds=0"], ["training.seconds: found 0.0; allowed: > 0"]),
        (["training.average=1"], ["training.average: found 1.0; allowed: >= 0 and < 1"]),
        (["critic.clip=0.1"], ["critic.clip"]),
        (["critic.loss=gan"], ["critic.loss: found 'gan'; allowed: wasserstein, hinge"]),
    ],
    ids=str,
)
def test_bad_input_is_one_message(overrides: list[str], parts: list[str]) -> None:
    with Composer("wgan") as composer, pytest.raises(UsageError) as caught:
        composer.check(overrides, multirun=False)
    text = str(caught.value)
    assert all(part in text for part in parts), text
    assert len(text.splitlines()) == 1


@pytest.mark.usefixtures("unpictured")
def test_every_option_of_every_group_trains(compose: Compose, tmp_path: Path) -> None:
    groups = ("generator", "critic", "schedule")
    names = {group: sorted(GROUPS[group]) for group in groups}
    for i in range(max(len(options) for options in names.values())):
        chosen = [f"{group}={names[group][i % len(names[group])]}" for group in groups]
        wgan(compose("training.steps=2", *chosen), tmp_path / str(i))


def presets() -> list[str]:
    files = sorted((config_root() / "experiment").glob("*.yaml"))
    return [path.stem for path in files if "\n# lipsort wgan " in path.read_text()]


@pytest.mark.usefixtures("unpictured")
@pytest.mark.parametrize("name", presets())
def test_presets_run_small(name: str, compose: Compose, tmp_path: Path) -> None:
    base = compose(f"experiment={name}", quick=False)
    data = [] if base.data.name in ("digits", "toy") else ["data=digits"]
    small = [text for text in ("critic.widths=[16]",) if base.critic.widths]
    if base.critic.channels:
        small.append("critic.channels=[4]")
    if base.generator.name == "dcgan":
        small.append("generator.channels=4")
    config = compose(
        f"experiment={name}",
        "training.steps=2",
        "training.batch_size=8",
        "training.frames=1",
        "device=cpu",
        "threads=1",
        *data,
        *small,
        quick=False,
    )
    assert wgan(config, tmp_path)["steps"] == 2


@pytest.mark.parametrize("name", presets())
def test_presets_take_every_critic(name: str, compose: Compose) -> None:
    for critic in GROUPS["critic"]:
        assert compose(f"experiment={name}", f"critic={critic}", quick=False).critic.name == critic


def test_the_critic_s_last_samples_are_the_generator_s(compose: Compose, tmp_path: Path) -> None:
    config = compose("critic.steps=3")
    task = build_task(config, load(config.data), torch.device("cpu"), tmp_path)
    made: list[bool] = []
    task.generator.register_forward_hook(lambda *_: made.append(torch.is_grad_enabled()))
    before = copy.deepcopy(task.generator.state_dict())
    task.step()
    assert made == [False, False, True]
    assert not torch.equal(before["body.0.weight"], task.generator.state_dict()["body.0.weight"])


def test_averaged_weights_are_the_ones_that_are_kept(compose: Compose, tmp_path: Path) -> None:
    wgan(compose("training.steps=4", "training.average=0.9"), tmp_path / "a")
    wgan(compose("training.steps=4", "training.average=0"), tmp_path / "b")
    first, second = (load_file(tmp_path / d / "generator.safetensors") for d in "ab")
    assert not torch.equal(first["body.0.weight"], second["body.0.weight"])
    # The critic never sees the average.
    assert (tmp_path / "a" / "critic.safetensors").read_bytes() == (
        tmp_path / "b" / "critic.safetensors"
    ).read_bytes()
