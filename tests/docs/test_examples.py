"""What README and docs/ tell readers to type, the program takes; tutorials run as written."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import typer
from command_line import lipsort
from pages import FIRST_FIVE, PAGES, ROOT, examples, skeleton

from lipsort_cli.cli.plain import PLAIN, function
from lipsort_cli.cli.tuning import with_command
from lipsort_cli.config.compose import Composer
from lipsort_cli.config.schema import COMMANDS, find
from lipsort_cli.errors import UsageError
from lipsort_cli.quoting import quoted

LINES = [one for page in PAGES for one in examples(page.read_text(encoding="utf-8")) if one.program]
TUTORIALS = {page.stem: page.read_text() for page in ROOT.glob("docs/tutorials/*.md")}
TUTORIALS["README"] = FIRST_FIVE


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_the_lines_of_the_pages(name: str) -> None:
    """Keys, values, ranges and rules are those of the program; RUN stands for a run directory."""
    command, refused = COMMANDS[name], []
    with Composer(name) as composer:
        for one in LINES:
            flags = {"-m", "--multirun", "--help"} & set(one.arguments)
            if find(one.arguments[0]) is not command:
                continue
            if name == "tune":
                own = [w for w in with_command(one.arguments[1:]) if not w.startswith("resume=")]
                composer.check(own or ["command=train"], multirun=False)
                continue
            keys = [w for w in one.arguments[1:] if "=" in w and not w.startswith("resume=")]
            runs = [w for w in one.arguments[1:] if "=" not in w and w not in flags]
            if command.argument and runs:
                keys.append(f"{command.argument}={quoted(runs.pop())}")
            assert command.takes or command.many or not runs, one.line
            keys += ["run=a"] if command.takes else ["runs=[a]"] if command.many else []
            keys += [f"runs=[{','.join('a' for _ in runs)}]"] if command.takes and runs[1:] else []
            try:
                composer.check(keys, multirun=bool(flags & {"-m", "--multirun"}))
            except UsageError as error:
                refused.append(f"{one.line}: {error}")
    assert not refused, "\n".join(refused)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_command_takes_the_lines_of_the_pages(name: str) -> None:
    app = typer.Typer()
    app.command()(function(name))
    for one in LINES:
        if one.arguments[0] == name:
            typer.main.get_command(app).make_context(name, one.arguments[1:])


def test_blocks_are_of_languages_that_the_tests_read() -> None:
    """A block of another sort would be an example that nobody runs."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        sorts = set(re.findall(r"^```(\w+.*)$", text, re.M))
        plain = {sort for sort in sorts if sort not in ("console", "python")}
        # Files, which tutorials write; those of "Extend", whose own test writes and runs them.
        assert all("title=" in sort or (page.stem, sort) == ("extend", "sh") for sort in plain)
        assert not re.search(r"^    (\$ )?lipsort \w+ \S*=", text, re.M), page


def test_every_line_is_of_a_command() -> None:
    words = {one.arguments[0] for one in LINES}
    assert {w for w in words if w not in PLAIN and find(w) is None} <= {"--install-completion"}
    assert len(LINES) > 60 and len(TUTORIALS) >= 3


@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_runs_as_it_is_written(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every command of the page, one after the other, in an empty folder; what it shows is shown.

    Numbers may differ (machines do), accuracies by a little, words not at all.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for example in examples(TUTORIALS[page]):
        if example.title:
            Path(example.title).write_text(example.line, encoding="utf-8")
            continue
        program, *arguments = example.words
        if program == "python":
            runpy.run_path(arguments[0])
        else:
            assert program == "lipsort", f"{example.line}: teach this test to run it"
            newest = [str(sorted(Path().glob(a))[-1]) if "*" in a else a for a in arguments]
            assert lipsort(monkeypatch, *newest) == 0, example.line
        output = capfd.readouterr()
        have = {skeleton(line): line for line in (output.out + output.err).splitlines()}
        for line in filter(skeleton, example.shown):
            assert skeleton(line) in have, (example.line, line, have)
            shares = [float(share) for share in re.findall(r"([\d.]+)%", line)]
            if "Accuracy" in line:
                found = re.findall(r"([\d.]+)%", have[skeleton(line)])
                assert shares == pytest.approx([float(share) for share in found], abs=5), line
