"""Every wrong configuration is one message that names key, what was found, what is allowed."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf, open_dict

from lipsort_cli.config import catalog
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import COMMANDS
from lipsort_cli.config.typed import from_plain, to_typed
from lipsort_cli.config.validate import faults, warnings
from lipsort_cli.errors import UsageError


def check(*overrides: str, multirun: bool = False) -> Any:
    with Composer("train") as composer:
        return composer.check(list(overrides), multirun=multirun)


def message(*overrides: str, multirun: bool = False) -> str:
    with pytest.raises(UsageError) as caught:
        check(*overrides, multirun=multirun)
    text = str(caught.value)
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["experiment=mnist_l2", "loss=cross_entropy"],
            ["loss: found cross_entropy", "experiment=mnist_l2", "loss.target", "lacks"],
        ),
        (
            ["augmentation.sampling=nearest", "augmentation.flip=true"],
            ["augmentation.sampling: found nearest", "augmentation.shift"],
        ),
        (["training.epochs=0"], ["training.epochs: found 0; allowed: >= 1"]),
        (["optimizer.lr=-1"], ["optimizer.lr: found -1.0; allowed: > 0"]),
        (["optimizer.lr=nan"], ["optimizer.lr: found nan; allowed: a finite number"]),
        (["optimizer.lr=inf"], ["optimizer.lr: found inf"]),
        (["optimizer.momentum=1"], ["optimizer.momentum: found 1.0", ">= 0 and < 1"]),
        (["training.epochs=many"], ["training.epochs: found many; allowed: a whole number >= 1"]),
        (["training.epochs=1.5"], ["training.epochs: found 1.5; allowed: a whole number"]),
        (["model.bias=maybe"], ["model.bias: found maybe; allowed: true or false"]),
        (["model.widths=3"], ["model.widths: found 3; allowed: a list of whole numbers"]),
        (["model.widths=[2,a]"], ["model.widths: found [2,a]; allowed: a list of whole numbers"]),
        (["model.widths=[4,0]"], ["model.widths[1]: found 0; allowed: >= 1"]),
        (["model.widths=[4,7]"], ["model.widths[1]: found 7", "activation=maxmin", "6 or 8"]),
        (
            ["activation=groupsort", "activation.group_size=5", "model.widths=[12]"],
            ["model.widths[0]: found 12", "groups of 5", "10 or 15"],
        ),
        (["activation=maxout", "activation.group_size=3", "model.widths=[2]"], ["nearest", ": 3"]),
        (["training.gradient_clip=0"], ["training.gradient_clip: found 0.0; allowed: > 0"]),
        (["model.widht=[3]"], ["model.widht: no such key", "did you mean widths?"]),
        (["epochs=3"], ["epochs: no such key", "seed", "did you mean training.epochs?"]),
        (["+training.foo=1"], ["training.foo: no such key; keys of training: epochs"]),
        (["+foo=1"], ["foo: no such key"]),
        (["optimizer.betas=[1]"], ["; optimizer=stiefel lacks it; add optimizer=aggmo"]),
        (["model.classes=2"], ["model.classes: no such key; keys of model: "]),
        (["~training.epochs"], ["training.epochs: found ~, which takes a key away"]),
        (["~start"], ["start: found ~, which takes a key away, and this one cannot lack; allowed"]),
        (["~model"], ["model: required, and not given; add model=OPTION, one of cnn, "]),
        (["training=4"], ["training: found 4", "set training.KEY=VALUE"]),
        (["activation=relux"], ["activation: found relux; allowed: absolute_value", "relu?"]),
        (["data=npz"], ["data.path: required, and not given (the .npz file)"]),
        (["data.name=mnist"], ["data.name: found 'mnist'", "use data=mnist"]),
        (["activation.name=relu"], ["activation.name: found 'relu'", "use activation=relu"]),
        (["constraint.name=none"], ["constraint.name: found 'none'", "use constraint=none"]),
        (["++activation.name=tanh"], ["activation.name: found 'tanh'", "use activation=tanh"]),
        (["seed=99999999999999999999999"], ["seed: found 9999", "<= 9223372036854775807"]),
        (["training.epochs=99999999999999999999"], ["training.epochs: found 9", "numbers up to"]),
        (["training.batch_size=1" + "0" * 400], ["training.batch_size: found 1", "numbers up to"]),
        (["threads=100000000000"], ["threads: found 100000000000; allowed: >= 0 and <= 1024"]),
        (["model.widths=[100000000000]"], ["model.widths[0]: found 100000000000", "<= 65536"]),
        (["model.lipschitz=1e30"], ["model.lipschitz: found 1e+30", ">= 2^-60 and <= 2^60"]),
        (["optimizer=aggmo", "optimizer.betas=[]"], ["optimizer.betas: found []"]),
        (["lr=1"], ["lr: no such key", "did you mean optimizer.lr?"]),
        (["hydra.sweeper.params.seed=3"], ["hydra.sweeper.params.seed"]),
        (["data=mnist", "data.root=${oc.env:NO_SUCH_VARIABLE}"], ["data.root", "NO_SUCH_VARIABLE"]),
        (["evaluation.norm=l3"], ["evaluation.norm: found 'l3'; allowed: l2, linf, l1"]),
        (["evaluation.eps=[]"], ["evaluation.eps: found []"]),
        (["evaluation.eps=[2,1]"], ["evaluation.eps: found [2.0, 1.0]; allowed: increasing"]),
        (["evaluation.eps=[0]"], ["evaluation.eps[0]: found 0.0; allowed: > 0"]),
        (["schedule=one_cycle", "schedule.warmup=0.1"], ["schedule.warmup", "one_cycle"]),
        (
            ["model=order_statistics", "loss=cross_entropy", "model.members=2", "model.widths=[]"],
            ["model.members: found 2, with model.widths=[] and no filters; allowed: 1"],
        ),
        (["schedule=step", "schedule.milestones=[0.7,0.3]"], ["schedule.milestones"]),
        (["device=gpu"], ["device: found 'gpu'; allowed: auto, cpu, cuda"]),
        (["activation=relu,tanh"], ["activation: found relu,tanh", "add -m"]),
        (["model.widths=[1"], ["model.widths=[1", "grammar"]),
        (["foo"], ["found 'foo'; allowed: an override such as key=value"]),
        (["hydra/launcher=nope"], ["hydra/launcher: found nope; allowed: basic", "launchers"]),
        (
            ["distribution=cone"],
            ["distribution: no such group here; groups: activation, constraint"],
        ),
        (
            ["experiment=wasserstein_cone_128"],
            ["experiment: found wasserstein_cone_128", "`lipsort estimate-wasserstein"],
        ),
        (["seed.x=1"], ["seed.x: seed is a value, which has no keys; allowed: seed=VALUE"]),
        (["model.widths.x=1"], ["model.widths is a value, which has no keys"]),
        (["hydra.run.dri=x"], ["hydra.run.dri: no such key", "dir"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_one_fault(overrides: list[str], parts: list[str]) -> None:
    text = message(*overrides)
    for part in parts:
        assert part in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "override", "part"),
    [
        ("certify", "eps=[]", "eps: found []"),
        ("certify", "eps=[0.1,0.1]", "eps: found [0.1, 0.1]; allowed: increasing"),
        ("attack", "eps=[0.2,0.1]", "eps: found [0.2, 0.1]; allowed: increasing"),
        ("attack", "methods=[]", "methods: found []"),
        ("attack", "methods=[pgd,pgd]", "methods: found ['pgd', 'pgd']; allowed: each one once"),
        ("export", "formats=[]", "formats: found []"),
        ("certify", "data.path=x", "data.path: no data is chosen here; allowed: with data=OPTION"),
        ("certify", "eps.0=1", "eps.0: eps is a value, which has no keys; allowed: eps=VALUE"),
    ],
)
def test_one_fault_of_the_commands_on_runs(command: str, override: str, part: str) -> None:
    with Composer(command) as composer, pytest.raises(UsageError) as caught:
        composer.check(["run=/tmp/x", override], multirun=False)
    assert part in str(caught.value)


def test_a_sweepers_parameters_beside_another_fault() -> None:
    text = message("hydra.sweeper.params.seed=3", "experiment=nowhere")
    assert "experiment: found nowhere" in text
    assert "hydra.sweeper.params.seed" in text


def test_groups_of_other_commands_are_not_suggested() -> None:
    assert "distribution" not in message("foo=1")
    assert "experiment" in message("foo=1")


def test_an_option_may_bear_another_name_than_its_file() -> None:
    assert check("optimizer=stiefel_critic").optimizer.name == "stiefel"


def test_all_faults_come_together() -> None:
    text = message(
        "training.epochs=0",
        "optimizer.lr=-1",
        "model.widht=3",
        "activation=foo",
        "training.batch_size=abc",
        "model.widths=[3,5]",
        "data=npz",
        "loss.margin=nan",
    )
    assert text.startswith("the configuration has 9 faults:")
    for key in (
        "training.epochs",
        "optimizer.lr",
        "model.widht",
        "activation:",
        "training.batch_size",
        "model.widths[0]",
        "model.widths[1]",
        "data.path",
        "loss.margin",
    ):
        assert text.count(f"  {key}") == 1


def test_a_choice_is_made_before_its_keys_are_judged() -> None:
    check("activation.group_size=8", "activation=groupsort", "model.widths=[64]")


def test_every_job_of_a_sweep_is_checked_before_it_starts() -> None:
    text = message("optimizer.lr=0.1,-2", "model.widths=[8],[9]", multirun=True)
    assert "optimizer.lr: found -2.0" in text
    assert "model.widths[0]: found 9" in text
    assert "seed: found x" in message("seed=1,x", "training.epohcs=1", multirun=True)


def test_the_resolved_configuration_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPSORT_DATA", "/somewhere")
    config = check("data=mnist", "training.gradient_clip=2", "model.widths=[]")
    typed = to_typed(config, "train")
    assert typed.data.root == "/somewhere"
    assert typed.training.gradient_clip == 2.0
    assert typed.model.widths == []
    assert type(typed.model).__name__ == "MlpModel"


def test_a_saved_configuration_is_typed_again(tmp_path: Path) -> None:
    config = check("activation=groupsort", "activation.group_size=8", "seed=5")
    with open_dict(config):
        del config["hydra"]
    OmegaConf.save(config, tmp_path / "config.yaml")
    loaded = from_plain(OmegaConf.load(tmp_path / "config.yaml"), "train")
    typed, again = to_typed(config, "train"), to_typed(loaded, "train")
    assert asdict(again) == asdict(typed) and type(again.activation) is type(typed.activation)
    with pytest.raises(UsageError, match="not a configuration"):
        from_plain({"nonsense": 1}, "train")


def test_an_untyped_primary_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("seed: 1\n")
    with (
        Composer("train", name="mine", extra=tmp_path) as composer,
        pytest.raises(UsageError, match="schema/command/train"),
    ):
        composer.check([], multirun=False)


def test_your_own_presets_are_found(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /activation: relu\nseed: 7\n"
    )
    with Composer("train", extra=tmp_path) as composer:
        config = composer.check(["experiment=mine", "seed=8"], multirun=False)
    assert (config.activation.name, config.seed) == ("relu", 8)
    with pytest.raises(UsageError, match="--config-dir"), Composer("train", extra=tmp_path / "no"):
        pass


def _numeric() -> list[catalog.Key]:
    keys = list(catalog.plain_keys("train"))
    for group, option in catalog.default_options("train").items():
        keys += catalog.option_keys(group, option)
    limits = ("minimum", "maximum", "above", "below")
    return [k for k in keys if any(k.field.metadata.get(name) is not None for name in limits)]


@given(st.sampled_from(_numeric()), st.floats(min_value=1e-3, max_value=1e6))
@settings(max_examples=200, deadline=None)
def test_no_value_outside_a_range_passes(key: catalog.Key, distance: float) -> None:
    typed = to_typed(_DEFAULTS, "train")
    owner = typed
    *path, last = key.name.split(".")
    for part in path:
        owner = getattr(owner, part)
    metadata = key.field.metadata
    outside = []
    for name, sign in (("minimum", -1), ("above", -1), ("maximum", 1), ("below", 1)):
        if metadata.get(name) is not None:
            outside.append(metadata[name] + sign * distance * max(1, abs(metadata[name])))
    outside += [metadata[name] for name in ("above", "below") if metadata.get(name) is not None]
    outside += [1e39, -1e39, 10**40, float("nan"), float("-inf")]  # beyond float32, or no number
    for value in outside:
        setattr(owner, last, [value] if isinstance(getattr(owner, last), list) else value)
        assert any(fault.startswith(key.name) for fault in faults(typed))


_DEFAULTS = check()


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["evaluation.norm=linf"], "constraint=linf"),
        (["constraint=linf"], "evaluation.norm=linf"),
        (["constraint=none"], "constraint=none"),
        ([], None),
        (["constraint=linf", "evaluation.norm=linf", "optimizer=adam"], None),
        (["constraint=spectral"], "optimizer.rest_lr"),
        (["constraint=parseval", "optimizer.rest=sgd"], "optimizer=adam"),
        (["constraint=bjorck", "optimizer=adam"], None),
        (
            [
                "constraint=linf",
                "constraint.method=projection",
                "constraint.sharpness=2",
                "evaluation.norm=linf",
                "optimizer=adam",
            ],
            "constraint.sharpness=2 has no effect",
        ),
    ],
)
def test_what_is_seldom_meant_is_said(overrides: list[str], word: str | None) -> None:
    found = warnings(to_typed(check(*overrides), "train"))
    assert (word is None) == (not found)
    assert word is None or word in found[0]


STRANGE = (float("nan"), float("inf"), True, 3, "text", ["a", 1], {"b": 2}, {"c": {}})


@pytest.mark.parametrize("value", STRANGE, ids=str)
def test_whatever_a_saved_configuration_holds_is_typed_or_refused(value: Any) -> None:
    keys = [*(entry.name for entry in fields(COMMANDS["train"].config)), "unknown"]
    for key in keys:
        with contextlib.suppress(UsageError):
            to_typed(from_plain({key: value}, "train"), "train")
    with pytest.raises(UsageError, match="plugins"):
        to_typed(from_plain({"plugins": value}, "train"), "train")
