"""What means something in another grammar is answered by the line that works."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import lipsort
from hydra._internal.utils import get_args_parser

from lipsort_cli.cli.words import _mended
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import find


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("train --epochs 5", "train training.epochs=5"),
        ("train --epochs=5 --lr 0.1", "train training.epochs=5 optimizer.lr=0.1"),
        ("train --seed=3", "train seed=3"),
        ("train --data mnist", "train data=mnist"),
        ("train --center", "train training.center=true"),
        ("train --batch-size 64 seed=1", "train training.batch_size=64 seed=1"),
        ("train -seed=3", "train seed=3"),
        ("train -epochs 5 data=toy", "train training.epochs=5 data=toy"),
        ("train seed 3", "train seed=3"),
        ("train seed: 3 lr: 0.1", "train seed=3 optimizer.lr=0.1"),
        ("train seed:3", "train seed=3"),
        ("train training.epochs==3", "train training.epochs=3"),
        ("train +seed=3", "train seed=3"),
        ("train seed=1,2", "train -m seed=1,2"),
        (
            "train data=toy optimizer.lr=choice(0.1,0.2)",
            "train data=toy -m optimizer.lr=choice(0.1,0.2)",
        ),
        ("certify nowhere norm linf", "certify nowhere norm=linf"),
        ("train lr = 0.1", "train optimizer.lr=0.1"),
        ("train seed= 4", "train seed=4"),
        ("train seed =4 data=mnist", "train seed=4 data=mnist"),
        ("train model.widths=[64, 64] seed=1", "train model.widths=[64,64] seed=1"),
        ("train model.widths=[64 64]", "train model.widths=[64,64]"),
        ("train model.widths=[ 64, 32 ]", "train model.widths=[64,32]"),
        ("train -m seed=1,2 --epochs 5", "train -m seed=1,2 training.epochs=5"),
        ("train data=CIFAR10", "train data=cifar10"),
        ("train trees.csv", "train data=table data.path=trees.csv data.label=COLUMN"),
        ("train data=mine.npz seed=1", "train data=npz data.path=mine.npz seed=1"),
        ("wgan .", "wgan data=folder data.path=."),
        ("train data=fashion-mnist", "train data=fashion_mnist"),
        ("train optimizer=Adam seed=1", "train optimizer=adam seed=1"),
        ("train experiment=mnist", "train experiment=mnist_l2"),
        ("wgan critic=wgan-gp", "wgan critic=gp"),
        (
            "wgan model.widths=[32] model.bias=false",
            "wgan model=mlp model.widths=[32] model.bias=false",
        ),
        ("train epochs=3", "train training.epochs=3"),
        ("train model.width=[8]", "train model.widths=[8]"),
        ("train activation=[relu,maxmin]", "train -m activation=relu,maxmin"),
        ("train -m activation=[relu,maxmin]", "train -m activation=relu,maxmin"),
        ("train -m loss=[hkr,multi_margin] seed=1", "train -m loss=hkr,multi_margin seed=1"),
        ("train hydra.run.dir=a=b", "train hydra.run.dir='a=b'"),
        ("train data=npz data.path=ü.npz", "train data=npz data.path='ü.npz'"),
        ("certify nowhere --norm linf", "certify nowhere norm=linf"),
        ("train .", "train data=folder data.path=."),
        ("train training.epochs=1e3", "train training.epochs=1000"),
        ("train training.epochs=5.0", "train training.epochs=5"),
        ("train training.epochs=10k", "train training.epochs=10000"),
        ("train training.batch_size=1,000", "train training.batch_size=1000"),
        *(
            (f"train model.widths={value}", "train model.widths=[64,32]")
            for value in (
                "64,32",
                "(64,32)",
                "'[64,32]'",
                "[64,32,]",
                "64x32",
                "{64,32}",
                "[64;32]",
                "[64.0,32]",
            )
        ),
        ("train model.widths=64", "train model.widths=[64]"),
        ("train evaluation.eps=0.1,0.2", "train evaluation.eps=[0.1,0.2]"),
        ("train evaluation.eps=[1/4]", "train evaluation.eps=[0.25]"),
        ("train evaluation.norm=L2", "train evaluation.norm=l2"),
        ("train evaluation.norm=inf", "train evaluation.norm=linf"),
        ("train device=CUDA", "train device=cuda"),
        ("train data=torchvision data.name=kmnist", "train data=torchvision data.name=KMNIST"),
        ("train data.name=mnist", "train data=mnist"),
        ("train seed=[1,2]", "train -m seed=1,2"),
        ("train --epoch 5", "train training.epochs=5"),
        ("train --learning_rate=0.1", "train optimizer.lr=0.1"),
        ("train --model-widths [64]", "train model.widths=[64]"),
        ("train --dataset mnist", "train data=mnist"),
        ("train --output o", "train hydra.run.dir=o"),
        ("train --no-center", "train training.center=false"),
        ("train Optimizer.LR=0.1", "train optimizer.lr=0.1"),
        ("train optimizer.learning-rate=0.1", "train optimizer.lr=0.1"),
        ("train batch-size=3", "train training.batch_size=3"),
        ("train width=[8]", "train model.widths=[8]"),
        ("train data=npz data.path=a,b.npz", "train data=npz data.path='a,b.npz'"),
        ("train data=npz data.path=x,y", "train data=npz -m data.path=x,y"),
        ("train hydra.run.dir=a,b", "train hydra.run.dir='a,b'"),
        ("train hydra.run.dir=[1]", "train hydra.run.dir='[1]'"),
        ("certify -a", "certify ./-a"),
        ("train seed=3,", "train seed=3"),
        ("train seed=3;data=toy", "train seed=3 data=toy"),
        ('train "seed=3"', "train seed=3"),
        (
            "estimate-wasserstein . ..",
            "estimate-wasserstein distribution=files distribution.p=. distribution.q=..",
        ),
        (
            "estimate-wasserstein distribution=3cones",
            "estimate-wasserstein distribution=three_cones",
        ),
    ],
)
def test_the_line_that_works_is_shown(
    typed: str,
    meant: str,
    train_calls: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("a,b.npz", "-a"):
        (tmp_path / name).touch()
    assert lipsort(monkeypatch, *typed.split()) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("try: lipsort ")
    assert shlex.split(last.removeprefix("try: ")) == ["lipsort", *meant.split()]
    assert train_calls.configs == [] and len(list(tmp_path.iterdir())) == 2
    command = find(meant.split()[0])
    assert command is not None
    overrides = [word for word in meant.split()[1:] if "=" in word]
    with Composer(command.name) as composer:
        run = ["run=x"] if command.takes else []
        composer.check([*run, *overrides], multirun="-m" in meant)


@pytest.mark.parametrize("name", ["my data (1)", "ünd/ä", "it's", "a~b", "null", "a,b"])
@pytest.mark.parametrize("ending", [".csv", ".npz", ""])
def test_ones_own_files_may_have_any_name(
    name: str,
    ending: str,
    train_calls: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line that is shown can be typed, however the file is given."""
    path = name + ending
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).touch() if ending else Path(path).mkdir()
    for given in (path, f"data={path}") if path != "null" else (path,):
        assert lipsort(monkeypatch, "train", given) == 2
        *_, last = capsys.readouterr().err.splitlines()
        assert last.startswith("try: lipsort train data=")
        with Composer("train") as composer:
            config = composer.check(shlex.split(last)[3:], multirun=False)
        assert config.data.path == path


def test_two_files_of_any_name_are_two_samples(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("p (1).npy", "ä.npy"):
        Path(name).touch()
    assert lipsort(monkeypatch, "estimate-wasserstein", "p (1).npy", "ä.npy") == 2
    *_, last = capsys.readouterr().err.splitlines()
    with Composer("estimate-wasserstein") as composer:
        config = composer.check(shlex.split(last)[3:], multirun=False)
    assert (config.distribution.p, config.distribution.q) == ("p (1).npy", "ä.npy")


@pytest.mark.parametrize(
    "typed",
    [
        *("model.widths=[1", "--nonsense 3", "seed=x", "nonsense=3 lr=2", "a b", "nowhere"),
        *("activation=null", "activation=[]", "activation=1", "training.epochs=1.5"),
        *("training.epochs=-1e3", "evaluation.eps=1/0", "--x 1", "data=null"),
    ],
)
def test_nothing_is_made_up(
    typed: str, train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert lipsort(monkeypatch, "train", *typed.split()) == 2
    assert "try:" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a=b", "50%", "grün", "it's", 'say "x"', "a b", "x,y", "[1]"])
def test_any_folder_is_a_run(
    name: str,
    train_calls: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As RUN, and behind ``run=`` and ``resume=``: a run is looked for there, and nowhere else."""
    (tmp_path / name).mkdir()
    for words in ([name], [f"run={name}"]):
        assert lipsort(monkeypatch, "certify", *words) == 2
        assert f"{name} is no run directory" in capsys.readouterr().err
    assert lipsort(monkeypatch, "train", f"resume={name}") == 2
    assert f"found {name}, which is no run directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["run="], ["run=''"], ["hydra.run.dir="], ["resume="], ["hydra.sweep.dir=", "-m"]]
)
def test_nothing_behind_a_path_is_refused(
    words: list[str], train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    name = "certify" if words[0].startswith("run") else "train"
    assert lipsort(monkeypatch, name, *words) == 2
    assert f"{words[0].partition('=')[0]}: found nothing" in capsys.readouterr().err
    assert train_calls.configs == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--lr -1 data=toy", "optimizer.lr=-1 data=toy"),
        ("seed -3", "seed=-3"),
        ("--center -m seed=1,2", "training.center=true -m seed=1,2"),
        ("run data", "run data"),
        ("tests docs", "tests docs"),
    ],
)
def test_flags_numbers_and_paths_are_told_apart(typed: str, meant: str) -> None:
    command, flags = find("train"), get_args_parser()._option_string_actions
    assert command is not None
    assert list(_mended(command, typed.split(), flags, [])) == meant.split()


def test_of_a_key_with_two_values_the_last_counts_and_it_says_so(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        ("seed=3 data=toy seed=4", "seed: found 3 and 4; the last counts"),
        ("++optimizer.lr=1 optimizer.lr=2 seed=4", "optimizer.lr: found 1 and 2; the last counts"),
        ("hydra.run.dir=a seed=4 hydra.run.dir=b", "hydra.run.dir: found a and b; the last counts"),
        ("seed=4 seed=4", ""),
    ):
        assert lipsort(monkeypatch, "train", *words.split()) == 0
        warned = capsys.readouterr().err
        assert said in warned and bool(said) == ("warning" in warned)
        assert train_calls.configs.pop().seed == 4


def test_an_interval_needs_a_sweeper_that_samples(
    train_calls: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lipsort(monkeypatch, "train", "-m", "optimizer.lr=interval(0.1,1)") == 2
    said = capsys.readouterr().err
    assert "optimizer.lr: found interval(0.1,1), an interval" in said and "optuna" in said
    assert train_calls.configs == []
