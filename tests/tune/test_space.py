"""The grammar of search spaces: Hydra's sweeps and ``log``, checked before anything is trained."""

from __future__ import annotations

import pytest

from lipsort_cli.errors import UsageError
from lipsort_cli.tune.space import Dimension, read


class Highest:
    """An Optuna trial that draws the largest of everything."""

    def suggest_float(self, _: str, low: float, high: float, log: bool) -> float:
        return high

    def suggest_int(self, _: str, low: int, high: int, log: bool = False) -> int:
        return high

    def suggest_categorical(self, _: str, values: tuple[str, ...]) -> str:
        return values[-1]


@pytest.mark.parametrize(
    ("word", "expected", "drawn"),
    [
        ("optimizer.lr=log(1e-3,1)", Dimension("optimizer.lr", 1e-3, 1, log=True), "1"),
        (
            "optimizer.lr=tag(log,interval(1e-3,0.123456))",
            Dimension("optimizer.lr", 1e-3, 0.123456, log=True),
            "0.123456",
        ),
        ("optimizer.momentum=interval(0,0.5)", Dimension("optimizer.momentum", 0, 0.5), "0.5"),
        (
            "training.epochs=int(log(1,100))",
            Dimension("training.epochs", 1, 100, log=True, whole=True),
            "100",
        ),
        (
            "training.epochs=range(1,4)",
            Dimension("training.epochs", values=("1", "2", "3"), ordered=True),
            "3",
        ),
        (
            "model.widths=choice([64,64],[128])",
            Dimension("model.widths", values=("[64,64]", "[128]")),
            "[128]",
        ),
        ("activation=maxmin,relu", Dimension("activation", values=("maxmin", "relu")), "relu"),
    ],
)
def test_sweeps_are_dimensions(word: str, expected: Dimension, drawn: str) -> None:
    space = read("train", ["data=digits", word])
    assert space.fixed == ("data=digits",)
    assert space.dimensions == (expected,)
    assert space.draw(Highest()) == [f"{expected.key}={drawn}"]


@pytest.mark.parametrize("word", ["training.epochs=log(1,3)", "training.epochs=interval(1,3)"])
def test_whole_ends_of_a_key_that_counts(word: str) -> None:
    with pytest.raises(UsageError, match=r"training.epochs: found 1.0; allowed: a whole") as error:
        read("train", ["data=digits", word, "optimizer.lr=log(0.01,1)"])
    ((place, instead),) = error.value.instead
    assert place == word and read("train", ["data=digits", *instead]).dimensions[0].whole
    with pytest.raises(UsageError) as error:
        read("train", ["data=digits", word.replace("(1,", "(0.5,")])
    assert not error.value.instead


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no keys and so nothing to search.*log\\(1e-3,1\\)"),
        (["training.epochs=3"], "training.epochs=3 and so nothing to search"),
        (["optimizer.lr=log(1,x)"], "'optimizer.lr=log\\(1,x\\)'; allowed: log"),
        (["optimizer.lr=log(1)"], "missing a required argument"),
        (["optimizer.lr=log(0,1)"], "a logarithm needs ends above 0"),
        (["optimizer.lr=log(1,1)"], "the first end is below the second"),
        (["optimizer.lr=interval(0,inf)"], "both are numbers"),
        (["optimizer.lr=log(1,2),3"], "an interval is no value of a list"),
        (["activation=glob(*)"], "a pattern names no values"),
        (["seed=1,1"], "a value comes twice"),
        (["seed=range(5,1)"], "it holds no value"),
        (["seed=1,2", "seed=3,4"], "seed: found twice"),
        (["optimizer.lr=log(1"], "optimizer.lr=log"),
        (["optimizer.lr=interval(-1,1)"], "optimizer.lr: found -1"),
        (["optimizer.rate=log(1,2)"], "optimizer.rate"),
        (["activation=maxmin,sofa"], "activation: found sofa"),
        (["seed=1,2", "training.epochs=0"], "training.epochs: found 0"),
    ],
)
def test_what_cannot_be_searched_is_said(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){said}"):
        read("train", words)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("train", "data.test=0.1,0.2"),
        ("estimate-wasserstein", "seed=0,1"),
        ("estimate-wasserstein", "evaluation.holdout=interval(0.1,0.5)"),
        ("estimate-wasserstein", "distribution.rows=10,20"),
    ],
)
def test_which_rows_are_held_out_is_not_searched(command: str, word: str) -> None:
    key = word.partition("=")[0]
    with pytest.raises(UsageError, match=f"{key}: found several.*decides which rows are held out"):
        read(command, [word])


def test_every_value_is_checked_beforehand() -> None:
    with pytest.raises(UsageError, match="model.widths"):
        read("train", ["seed=range(0,5)", "model.widths=choice([64],[65])"])
