"""A report in a real browser: on a phone, on a desk, on paper. Skipped where there is none."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lipsort_cli.reports.blocks import Document, Heading, Paragraph, Table
from lipsort_cli.reports.html import html

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = [
    pytest.mark.pictures,
    pytest.mark.skipif(not BROWSER, reason="no chromium or chrome on the PATH"),
]

COLUMNS = 11
MEASURE = """<script>
const rects = (what) => [...document.querySelectorAll(what)].map(e => e.getBoundingClientRect())
  .filter(r => r.height > 0);
document.title = JSON.stringify({
  page: document.documentElement.scrollWidth, window: window.innerWidth,
  numbers: rects("td.right").map(r => r.height), tables: rects("table").map(r => r.width),
  frames: rects(".table").map(r => [r.left, r.right]),
  scrolls: [...document.querySelectorAll(".table")].map(e => e.scrollWidth > e.clientWidth),
});
</script>"""


def page(folder: Path) -> Path:
    """A page with a wide table of numbers, and long names."""
    numbers = [
        f"{12345.678901 * (i + 1):,.6f} \N{PLUS-MINUS SIGN} 0.0000123" for i in range(COLUMNS)
    ]
    table = Table(
        "Results",
        ["#", "directory", *(f"certified\nl2 {i}\n(%, proven)" for i in range(COLUMNS))],
        [[str(row), f"outputs/{'a' * 30}/{row}", *numbers] for row in range(4)],
        "What is in the table. " * 20,
        right=frozenset(range(2, 2 + COLUMNS)),
    )
    text = "A long word " + "x" * 200 + " and many short ones" * 20
    document = Document("Runs compared", [Heading("A section"), Paragraph(text), table])
    path = folder / "report.html"
    path.write_text(html(document).replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    return path


def browse(path: Path, *options: str) -> str:
    """What the browser prints when it has shown the page."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    done = subprocess.run(
        [*command, f"--user-data-dir={path.parent / 'profile'}", *options, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("width", [390, 1280])
def test_numbers_stay_whole_and_tables_scroll(width: int, tmp_path: Path) -> None:
    path = page(tmp_path)
    shot = tmp_path / "shot.png"
    size = f"--window-size={width},1200"
    title = re.search(r"<title>(.*?)</title>", browse(path, size, "--dump-dom"))
    assert title is not None
    found = json.loads(title[1])
    browse(path, size, f"--screenshot={shot}")
    assert shot.stat().st_size > 5000
    assert found["page"] <= found["window"], "the page itself scrolls sideways"
    assert len(found["numbers"]) == 4 * COLUMNS, "one table, not several"
    assert max(found["numbers"]) < 36, "a number is broken into lines"
    (left, right), *_ = found["frames"]
    assert left >= 0 and right <= found["window"]
    assert found["tables"][0] > found["window"] and found["scrolls"][0]
    if width == 1280:
        assert right - left > 1200, "a wide table takes the page's whole width"


def test_paper_holds_every_column(tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    browse(page(tmp_path), f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF")
    text = shutil.which("pdftotext")
    if text:
        words = subprocess.run([text, "-layout", str(paper), "-"], capture_output=True, text=True)
        for index in range(COLUMNS):
            assert f"{12345.678901 * (index + 1):,.6f}" in words.stdout
