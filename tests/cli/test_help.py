"""Help pages: complete, narrow enough, and quick to start."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
        keys += catalog.group_keys(group, default)
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

    from lipsort_cli.config.compose import Composer

    for _, line in command.examples:
        words = shlex.split(line)
        assert words[:2] == ["lipsort", command.name]
        overrides = [word for word in words[2:] if "=" in word]
        run = ["run=/tmp/x"] if command.takes else []
        with Composer(command.name) as composer:
            composer.check([*run, *overrides], multirun="-m" in words)


def test_defaults_that_differ_between_options_are_all_shown() -> None:
    keys = catalog.group_keys("data", "digits", values=True)
    shown = {o: k.default for k in keys if k.name == "data.validation" for o in k.options}
    assert (shown["digits"], shown["mnist"]) == (0.1, 0.05)
    for group, option, name, default in (
        ("loss", "worst_class_hinge", "margin", 3.0),
        ("loss", "multi_margin", "margin", 2.0),
        ("optimizer", "stiefel", "lr", 0.1),
        ("optimizer", "stiefel_critic", "lr", 0.05),
        ("optimizer", "stiefel_critic", "polar_steps", 5),
    ):
        first = option == "worst_class_hinge"
        for key in catalog.group_keys(group, option if first else "stiefel", values=True):
            if key.name == f"{group}.{name}" and option in key.options:
                assert key.default == default
                break
        else:
            pytest.fail(f"{group}.{name} of {option} is not shown")
    page = _run("train", "--help")[0]
    lines = [line.split()[:2] for line in page.splitlines()]
    assert ["validation", "0.1"] in lines
    assert ["validation", "0.05"] in lines


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
