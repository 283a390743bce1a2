"""Defaults that fit the data: what is left open is chosen by the data, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lipsort_cli.cli.arguments import with_runs
from lipsort_cli.config.catalog import presets_for
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import find
from lipsort_cli.config.typed import to_typed

Chosen = Callable[..., tuple[Any, list[str]]]


@pytest.fixture(scope="module")
def chosen() -> Chosen:
    with Composer("estimate-wasserstein") as composer:

        def choose(dim: int, *overrides: str, finite: bool = False) -> tuple[Any, list[str]]:
            command = find("estimate-wasserstein")
            assert command is not None
            words = with_runs(command, list(overrides), query=False)
            config = to_typed(composer.compose(words), "estimate-wasserstein")
            return config, config.fit(dim, finite)

        yield choose  # type: ignore[misc]


@pytest.mark.parametrize(
    ("dim", "finite", "widths", "rank", "steps"),
    [
        (2, False, [128, 128, 128], None, 1000),
        (128, False, [128, 128, 128], None, 1000),
        (128, True, [128, 128, 128], None, 1000),
        (129, False, [130, 130], 64, 300),
        (784, False, [784, 784], 64, 300),
        (784, True, [784, 784], 192, 600),
        (3072, False, [1024, 1024], 64, 300),
    ],
)
def test_widths_follow_the_dimension(
    chosen: Chosen, dim: int, finite: bool, widths: list[int], rank: int | None, steps: int
) -> None:
    config, words = chosen(dim, "activation=maxmin", "model.widths=auto", finite=finite)
    assert (config.model.widths, config.optimizer.rank) == (widths, rank)
    assert config.training.total == steps
    assert words[0] == f"model.widths={widths}".replace(" ", "")
    assert config.fit(dim, finite) == []  # nothing is open any more


def test_what_is_said_stays(chosen: Chosen) -> None:
    own = ["model.widths=[32,32]", "optimizer.rank=5", "training.steps=7"]
    config, words = chosen(784, *own)
    assert words == []
    assert (config.model.widths, config.optimizer.rank) == ([32, 32], 5)
    config, words = chosen(784, *own[1:])
    assert words == ["model.widths=[784,784]"]
    assert (config.optimizer.rank, config.training.total) == (5, 7)
    assert chosen(784, "optimizer=adam")[1] == ["model.widths=[784,784]", "training.steps=300"]
    assert chosen(784, own[0])[0].training.total == 1000


@pytest.mark.parametrize(
    ("command", "choices", "some"),
    [
        ("train", {"data": "mnist", "experiment": None}, {"mnist_l2", "mnist_linf_order"}),
        ("train", {"data": "digits"}, {"demo_digits"}),
        ("train", {"data": "mnist", "experiment": "mnist_l2"}, set()),
        ("train", {"data": "npz"}, set()),
        ("wgan", {"data": "mnist"}, {"wgan_mnist"}),
        ("estimate-wasserstein", {"distribution": "cone"}, {"wasserstein_cone_512"}),
        ("certify", {}, set()),
    ],
)
def test_presets_of_the_data_are_named(command: str, choices: Any, some: set[str]) -> None:
    found = presets_for(command, choices)
    # One that is made from another of MNIST is of MNIST.
    assert ("mnist_l2_cnn" in found) == ("mnist_l2" in some)
    assert some <= set(found) and bool(found) == bool(some)
    assert not any("/" in name for name in found)
