"""The YAML tree and the dataclasses agree, and every shipped file composes."""

from __future__ import annotations

import shlex

import pytest
import yaml

from lipsort_cli.config import catalog
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import COMMANDS, GROUPS, find
from lipsort_cli.config.tree import config_root, group_files, heading

OPTIONS = [(group, option) for group in GROUPS for option in group_options(group)]


def test_a_file_says_something_of_its_own() -> None:
    """What a dataclass says stands in no file: only presets of options and commands have one."""
    files = [(path.name, path) for path in config_root().iterdir() if path.is_dir()]
    assert {name for name, _ in files} <= {*GROUPS, catalog.PRESETS}
    presets = [(g, o) for g in GROUPS for o in group_files(g)]
    assert len(presets) <= 10
    for group, option in presets:
        values = yaml.safe_load((config_root() / group / f"{option}.yaml").read_text())
        (base, _) = values.pop("defaults")
        assert GROUPS[group][option] is GROUPS[group][base]
        assert values and option not in (base, values.get("name"))
    primary = {path.stem for path in config_root().glob("*.yaml")} - {"base"}
    assert primary == {c.key for c in COMMANDS.values() if catalog.default_options(c.name)}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_describes_and_names_itself(group: str, option: str) -> None:
    assert len(catalog.describe_option(group, option)) > 10
    assert GROUPS[group][GROUPS[group][option].name] is GROUPS[group][option]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_composes_with_every_command_that_has_its_group(name: str) -> None:
    needed = {
        "data=npz": ["data.path=x.npz"],
        "data=table": ["data.path=x.csv", "data.label=y"],
    }
    run = ["run=/tmp/x"] if "run" in {k.name for k in catalog.plain_keys(name)} else []
    with Composer(name) as composer:
        base = composer.compose(run)
        groups = [group for group in catalog.default_options(name) if group != catalog.PRESETS]
        for group, default in catalog.default_options(name).items():
            assert group == catalog.PRESETS or default in (catalog.NONE, *group_options(group))
        # One option of every group at a time: each is composed, in as few compositions as can be.
        for turn in range(max((len(group_options(group)) for group in groups), default=0)):
            options = {group: group_options(group, name) for group in groups}
            chosen = {group: found[turn % len(found)] for group, found in options.items()}
            choices = [f"{group}={option}" for group, option in chosen.items()]
            extra = [word for choice in choices for word in needed.get(choice, [])]
            config = composer.compose([*run, *choices, *extra])
            for group, option in chosen.items():
                assert config[group].name == GROUPS[group][option].name
        assert str(base.hydra.job.name) == name


PRESETS = group_options(catalog.PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs_as_its_head_says(preset: str) -> None:
    lines = heading(config_root() / catalog.PRESETS / f"{preset}.yaml")
    assert len(lines) >= 2, "first the command that launches it, then what it is"
    words = shlex.split(lines[0])
    assert words[0] == "lipsort"
    command = find(words[1])
    assert command is not None
    assert f"{catalog.PRESETS}={preset}" in words[2:]
    overrides = [word for word in words[2:] if word not in ("-m", "--multirun")]
    with Composer(command.name) as composer:
        composer.check(overrides, multirun=overrides != words[2:])
