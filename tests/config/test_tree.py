"""The YAML tree and the dataclasses agree, and every shipped file composes."""

from __future__ import annotations

import shlex

import pytest
import yaml

from lipsort_cli.cli.table import TABLE
from lipsort_cli.config import catalog
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import COMMANDS, GROUPS
from lipsort_cli.config.store import config_name
from lipsort_cli.config.tree import config_root, group_names, group_options, heading

COMMAND_FILES = sorted({config_name(command) for command in COMMANDS})
OPTIONS = [(group, option) for group in GROUPS for option in GROUPS[group]]


def test_groups_and_folders_are_in_step() -> None:
    folders = {name for name in group_names() if name != catalog.PRESETS}
    assert folders == set(GROUPS)
    for group, options in GROUPS.items():
        assert sorted(options) == group_options(group)


def test_commands_and_primary_files_are_in_step() -> None:
    files = {path.stem for path in config_root().glob("*.yaml")} - {"base"}
    assert files == set(COMMAND_FILES)
    assert set(COMMAND_FILES) <= {command.key for command in TABLE}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_describes_and_names_itself(group: str, option: str) -> None:
    assert len(catalog.describe_option(group, option)) > 10
    values = yaml.safe_load((config_root() / group / f"{option}.yaml").read_text())
    # A variant of an option bears its name: what differs is values.
    assert GROUPS[group][values["name"]] is GROUPS[group][option]


@pytest.mark.parametrize("command", COMMAND_FILES)
def test_every_option_composes_with_every_command_that_has_its_group(command: str) -> None:
    name = next(entry.name for entry in TABLE if entry.key == command)
    needed = {"data=npz": ["data.path=x.npz"]}
    run = ["run=/tmp/x"] if "run" in {k.name for k in catalog.plain_keys(name)} else []
    with Composer(name) as composer:
        base = composer.compose(run)
        groups = [group for group in catalog.default_options(name) if group != catalog.PRESETS]
        for group, default in catalog.default_options(name).items():
            assert group == catalog.PRESETS or default in group_options(group)
        # One option of every group at a time: each is composed, in as few compositions as can be.
        for turn in range(max((len(group_options(group)) for group in groups), default=0)):
            options = {group: group_options(group) for group in groups}
            chosen = {group: found[turn % len(found)] for group, found in options.items()}
            choices = [f"{group}={option}" for group, option in chosen.items()]
            extra = [word for choice in choices for word in needed.get(choice, [])]
            config = composer.compose([*run, *choices, *extra])
            for group, option in chosen.items():
                assert config[group].name in (option, option.rpartition("_")[0])
        assert str(base.hydra.job.name) == name


PRESETS = group_options(catalog.PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs_as_its_head_says(preset: str) -> None:
    lines = heading(config_root() / catalog.PRESETS / f"{preset}.yaml")
    assert len(lines) >= 2, "first the command that launches it, then what it is"
    words = shlex.split(lines[0])
    assert words[0] == "lipsort"
    command = next(entry for entry in TABLE if words[1] in (entry.name, *entry.aliases))
    assert f"{catalog.PRESETS}={preset}" in words[2:]
    overrides = [word for word in words[2:] if word not in ("-m", "--multirun")]
    with Composer(command.name) as composer:
        composer.check(overrides, multirun=overrides != words[2:])
