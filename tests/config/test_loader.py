"""What the loader composes of what it kept is what Hydra's own loader composes, or its fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lipsort_cli.config.compose import Composer
from lipsort_cli.config.loader import Loader
from lipsort_cli.config.schema import COMMANDS

LINES = [
    ["seed=1", "hydra.run.dir=o"],
    ["training.epochs=3", "activation=relu", "model.widths=[8,8]"],
    ["activation=relu", "activation=maxmin"],
    ["experiment=mnist_l2", "data=digits", "training.epochs=1"],
    ["+training.nonsense=1", "++training.epochs=4"],
    ["~training.epochs"],
    ["~schedule", "seed=2"],
    ["data={name: digits}"],
    ["hydra.run.dir=a", "hydra.run={dir: b}"],
    ["hydra.run={dir: b}", "hydra.run.dir=a"],
    ["hydra.job.env_copy=[HOME]", "hydra.job.config.override_dirname.kv_sep=:", "seed=1"],
    ["hydra.mode=MULTIRUN", "hydra/launcher=basic"],
    ["hydra.searchpath=[OWN]", "activation=mine"],
    # Faults.
    ["training.epochs=many"],
    ["activation.nonsense=1"],
    ["activation=nonsense", "seed=x"],
    ["activation@nonsense=relu"],
    ["nonsense@seed=1"],
    ["seed=1,2"],
    ["schema/command=train"],
    ["~nonsense"],
]


def composed(loader: ConfigLoaderImpl, name: str, overrides: list[str]) -> str:
    """The composition as text with its types and flags, or what is wrong."""
    try:
        config = loader.load_configuration(name, overrides, RunMode.RUN, from_shell=False)
    except (HydraException, OmegaConfBaseException) as error:
        return f"{type(error).__name__} {error} {error.__cause__}"
    types = {str(key): OmegaConf.get_type(config, key) for key in config}
    flags = OmegaConf.is_struct(config), OmegaConf.is_readonly(config.hydra)
    return f"{OmegaConf.to_yaml(config)}{types}{flags}"


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_values_set_in_what_is_kept_are_those_of_a_whole_composition(
    line: list[str], tmp_path: Path
) -> None:
    (tmp_path / "activation").mkdir()
    (tmp_path / "activation" / "mine.yaml").write_text("defaults: [relu]\n")
    overrides = [word.replace("OWN", str(tmp_path)) for word in line]
    with Composer("train") as composer:
        assert isinstance(composer.loader, Loader)
        wanted = composed(ConfigLoaderImpl(composer.loader.config_search_path), "train", overrides)
        for _ in range(2):  # of what is read now, and of what is kept
            assert composed(composer.loader, "train", overrides) == wanted


@pytest.mark.parametrize("name", COMMANDS)
def test_of_every_command(name: str) -> None:
    with Composer(name) as composer:
        plain = ConfigLoaderImpl(composer.loader.config_search_path)
        overrides = ["seed=7", "hydra.output_subdir=null"]
        wanted = composed(plain, composer.name, overrides)
        assert composed(composer.loader, composer.name, overrides) == wanted


def test_a_configuration_is_its_owner_s() -> None:
    with Composer("train") as composer:
        first = composer.compose(["seed=1"])
        first.model.widths.append(7)
        first.hydra.job.name = "other"
        second = composer.compose(["seed=1"])
    assert 7 not in second.model.widths and second.hydra.job.name == "train"


def test_files_of_the_user_s_are_read_by_every_composer(tmp_path: Path) -> None:
    (tmp_path / "activation").mkdir()
    for size in (2, 5):
        text = f"defaults: [groupsort]\ngroup_size: {size}\n"
        (tmp_path / "activation" / "mine.yaml").write_text(text)
        with Composer("train", extra=tmp_path) as composer:
            assert composer.compose(["activation=mine"]).activation.group_size == size


def test_options_of_hydra_s_own_are_those_of_the_search_path(tmp_path: Path) -> None:
    with Composer("train") as composer:
        for number in (1, 2):
            folder = tmp_path / str(number) / "hydra" / "job_logging"
            folder.mkdir(parents=True)
            (folder / "mine.yaml").write_text(f"mark: {number}\n")
            found = composer.compose(
                [f"hydra.searchpath=[{tmp_path / str(number)}]", "hydra/job_logging=mine"]
            )
            assert found.hydra.job_logging.mark == number
