"""A report as a page, as Markdown and on the screen."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import re
from pathlib import Path

import pytest
from by_hand import tables
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lipsort_cli.reports.blocks import Paragraph, Table
from lipsort_cli.reports.build import build_report
from lipsort_cli.reports.markdown import markdown_table


class _Page(html.parser.HTMLParser):
    """Tags that open and close, links and pictures."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_self_contained_and_sound(sweep: Path, tmp_path: Path) -> None:
    nasty = Paragraph("<script>alert('x')</script> & | `code`")
    report = build_report([sweep], tmp_path / "out", title="A <b> & B", extra=[nasty])
    text = (tmp_path / "out/report.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags and "link" not in page.tags
    assert page.sources and all(s.startswith("data:image/png;base64,") for s in page.sources)
    for source in page.sources:
        assert base64.b64decode(source.partition(",")[2]).startswith(b"\x89PNG")
    assert "http" not in text and "@import" not in text and "@media print" in text
    assert "A &lt;b&gt; &amp; B" in text
    pictures = {p.name for p in (tmp_path / "out/figures").iterdir()}
    assert pictures == {"train_accuracy_l2.png", "train_sorted.png", "train_train.png"}
    linked = re.findall(r"\]\((.+?)\)", (tmp_path / "out/report.md").read_text())
    assert {f"figures/{name}" for name in pictures} == set(linked)
    saved = json.loads((tmp_path / "out/report.json").read_text())
    assert saved["commands"][0]["rows"][0]["seeds"] == [0, 1]
    assert report.folder == tmp_path / "out"


def test_markdown_tables_have_their_columns_whatever_is_in_them() -> None:
    table = Table("T", ["a|b", "two\nlines"], [["x | y", "<i>"], ["*", "snake_case"]], "note")
    lines = markdown_table(table).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3] * 4
    assert rows[1] == "| --- | ---: |" and "snake_case" in rows[3] and "two lines" in rows[0]


@given(
    st.integers(20, 130),
    st.integers(2, 12).flatmap(
        lambda n: st.lists(
            st.lists(st.text("abc 123", max_size=18), min_size=n, max_size=n),
            min_size=2,
            max_size=4,
        )
    ),
)
def test_no_table_is_cut_off_at_any_width(width: int, cells: list[list[str]]) -> None:
    header = [f"h{i}" for i in range(len(cells[0]))]
    table = Table("T", header, cells)
    parts = table.fitted(width)
    assert [h for part in parts for h in part.header[1:]] == header[1:]
    assert all(part.header[0] == "h0" for part in parts)
    for part in parts:
        natural = 1 + sum(part.width(i) + 3 for i in range(len(part.header)))
        assert natural <= width or len(part.header) == 2


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_shows_every_column(sweep: Path, tmp_path: Path, width: int) -> None:
    report = tables([sweep], tmp_path / "out")
    console = Console(width=width, record=True, force_terminal=False, file=io.StringIO())
    report.show(console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    for part in ("l2 1.58", "(%, proven)", "(%, empirical)", "lipschitz bound", "(measured)"):
        assert part in text
    for run in report.rows[0].runs:
        assert str(run.directory) in text.replace("\n", "").replace(" ", "")


def test_many_figures_of_few_rows_are_read_downwards() -> None:
    header = ["#", "model", *(f"figure {i}\n(empirical)" for i in range(20))]
    rows = [[str(n), "mlp", *(f"{n}.{i}" for i in range(20))] for n in (1, 2)]
    table = Table("Results", header, rows, "said once")
    turned = table.turned(160)
    assert turned.header == ["#", "1", "2"]
    assert [row[0] for row in turned.rows[:2]] == ["model", "figure 0 (empirical)"]
    assert {cell for row in turned.rows for cell in row[1:]} == {c for row in rows for c in row[1:]}
    assert turned.caption == "said once"
    assert sum(turned.width(i) + 3 for i in range(3)) <= 160
    many = Table("Results", header, [rows[0]] * 40)
    assert many.turned(160) is many  # as wide either way
    narrow = Table("Results", header[:4], [row[:4] for row in rows])
    assert narrow.turned(160) is narrow
