"""The commands that Hydra does not configure: options, help, completion, one grammar of errors."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import typer
from command_line import lipsort

from lipsort_cli import app, commands
from lipsort_cli.cli import application
from lipsort_cli.cli.complete import candidates
from lipsort_cli.cli.plain import PLAIN
from lipsort_cli.config.schema import COMMANDS


@pytest.mark.parametrize("name", PLAIN)
def test_help_says_all_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run([name, "--help"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    command = typer.main.get_command(application.app).commands[name]  # type: ignore[attr-defined]
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help and parameter.opts[0] in page
    assert candidates([name], "--") == [o for p in command.params for o in p.opts if o[:2] == "--"]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("word", ["--nonsense", "--nonsense=3", "-q"])
def test_an_unknown_option_is_one_line_and_exit_code_2(
    name: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lipsort(monkeypatch, name, word) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("lipsort: no option '") and "; allowed: --" in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["verify"], "certificate: required, and not given"),
        (["verify", "a", "b"], "(b)"),
        (["verify", "a", "--data"], "--data"),
        (["verify", "nowhere"], "nowhere does not exist"),
        (["generalisation", "--delta", "x"], "--delta: found 'x'; input should be a valid number"),
        (["generalisation", "--delta", "2"], "--delta: found 2; allowed: > 0 and < 1"),
        (["generalisation", "nowhere"], "nowhere: no such directory"),
        (["reproduce", "--seeds", "0"], "--seeds: found 0; allowed: 1 to 100"),
        (["reproduce", "--sedes", "1"], "did you mean --seeds?"),
        (["zoo", "nets"], "group: found 'nets'; allowed: model"),
        (["theory", "seed=3"], "found seed=3; allowed: --quick, and one folder"),
        (["theory", "1"], "found 1; allowed: --quick, and one folder to write to"),
        (["theory", "theorem3.2"], "claims are checked all together"),
    ],
)
def test_what_is_wrong_is_said_as_everywhere(
    words: list[str], part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lipsort(monkeypatch, *words) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("lipsort: ") and part in shown
    assert len(shown.splitlines()) == 1


def test_no_command_parses_by_hand() -> None:
    """What Typer and Hydra leave is in ``cli``: commands import no argparse and read no argv."""
    for path in Path(commands.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = {
            alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
        }
        assert not {"argparse", "getopt", "optparse"} & words
        assert "sys.argv" not in path.read_text(encoding="utf-8")
    assert not set(PLAIN) & set(COMMANDS)


@pytest.mark.parametrize("name", PLAIN)
def test_of_an_option_with_two_values_the_last_counts_and_it_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = typer.main.get_command(application.app).commands[name]  # type: ignore[attr-defined]
    options = [p for p in command.params if p.param_type_name == "option" and not p.is_flag]
    for option in options:
        # The last value is what no option of its type allows, so that nothing is done.
        word = option.opts[0]
        assert lipsort(monkeypatch, name, "x", word, "1", f"{word}=nowhere/x\0") != 0
        assert f"warning: {word}: found 2 times; the last counts" in capsys.readouterr().err
    assert options or name in ("theory", "zoo", "doctor")
