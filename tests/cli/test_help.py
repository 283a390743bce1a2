"""Help pages: complete, narrow enough, and quick to start."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_line import lipsort

from lipsort_cli.cli.help import show
from lipsort_cli.config import catalog
from lipsort_cli.config.catalog import group_options
from lipsort_cli.config.schema import COMMANDS, Command, find


def _run(*arguments: str) -> tuple[str, set[str], int]:
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('MODULES', *sys.modules))\n"
        f"sys.argv = ['lipsort', *{list(arguments)!r}]\n"
        "from lipsort_cli.app import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    text, _, modules = done.stdout.rpartition("MODULES")
    return text, set(modules.split()), done.returncode


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_first_page_lists_the_commands(arguments: list[str]) -> None:
    text, modules, code = _run(*arguments)
    assert code == 0
    for command in COMMANDS.values():
        assert command.name in text
    assert not {"torch", "hydra", "omegaconf", "numpy", "pydantic", "rich.markdown"} & modules
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", [command.name for command in COMMANDS.values()])
def test_a_commands_page_shows_all_that_can_be_set(name: str) -> None:
    text, modules, code = _run(name, "--help")
    assert code == 0
    assert not {"torch", "hydra", "omegaconf"} & modules
    assert max(map(len, text.splitlines())) <= 80
    command = find(name)
    assert command is not None
    assert len(command.examples) >= 3
    for _, line in command.examples:
        assert line in text
    keys = list(catalog.plain_keys(name))
    for group, default in catalog.default_options(name).items():
        keys += catalog.option_keys(group, default)
        for option in group_options(group, name):
            assert option in text
    for key in keys:
        node, _, last = key.name.rpartition(".")
        assert f"  {last} " in text
        assert not node or f"  {node}." in text
        assert key.help, f"{key.name} has no help line"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_the_examples_of_a_page_are_sound(command: Command) -> None:
    import shlex

    from lipsort_cli.cli.tuning import OWN, with_command
    from lipsort_cli.config.compose import Composer
    from lipsort_cli.tune.space import read

    for _, line in command.examples:
        words = shlex.split(line)
        assert words[:2] == ["lipsort", command.name]
        overrides = [word for word in words[2:] if "=" in word]
        if command.name == "tune":
            overrides = with_command(words[2:])
            if not words[2].startswith("resume="):
                read(words[2], [w for w in words[3:] if w.partition("=")[0] not in OWN])
            else:
                overrides.append("command=train")
        run = ["run=/tmp/x"] if command.takes else []
        run += [f"{command.argument}=/tmp/x"] if command.argument else []
        with Composer(command.name) as composer:
            composer.check([*run, *overrides], multirun="-m" in words)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_the_page_shows_the_keys_of_what_is_chosen(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option of every group, in as few pages as can be; with its own defaults."""
    monkeypatch.setenv("COLUMNS", "80")
    groups = [g for g in catalog.default_options(command.name) if g != catalog.PRESETS]
    options = {group: group_options(group, command.name) for group in groups}
    given = catalog.primary_values(command.name)
    for turn in range(max(map(len, options.values()), default=0)):
        chosen = {group: found[turn % len(found)] for group, found in options.items()}
        show(command, [f"{group}={option}" for group, option in chosen.items()])
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        for group, option in chosen.items():
            keys = catalog.option_keys(group, option, values=True)
            start = lines.index([f"{group}.", f"({group}={option})"]) if keys else 0
            for key in keys:
                name = key.name.removeprefix(f"{group}.")
                shown = next(line for line in lines[start:] if line[:1] == [name])
                default = given.get(key.name, key.default)
                if isinstance(default, int | float) and not isinstance(default, bool):
                    assert shown[1] == str(default)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_screen_is_usage_examples_and_groups(name: str) -> None:
    lines = _run(name, "--help")[0].splitlines()
    first = lines[:23]
    assert first[0].startswith(f"Usage: lipsort {name} ")
    assert "Examples" in first
    end = next(i for i, line in enumerate(lines) if line.startswith("Keys: "))
    assert end <= 24, "keys begin on the second screen, all groups stand on the first"


def test_an_option_that_there_is_not_has_no_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lipsort(monkeypatch, "train", "model=extension", "--help") == 2
    assert "model: found extension; allowed: cnn" in capsys.readouterr().err


def test_the_version_is_the_packages() -> None:
    from lipsort_cli import __version__

    assert _run("--version")[0] == f"lipsort {__version__}\n"


def test_zoo_lists_every_option() -> None:
    text, modules, _ = _run("zoo")
    assert "torch" not in modules
    assert max(map(len, text.splitlines())) <= 80
    from lipsort_cli.config.schema import GROUPS

    for options in GROUPS.values():
        for option in options:
            assert f"  {option} " in text
    assert "multi_margin" not in _run("zoo", "activation")[0]
