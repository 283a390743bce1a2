"""Every measured figure stands in docs/results.md; what other pages quote of it agrees.

A number of README or docs/ that looks measured (a share, a time, a decimal of two places or more)
either is quoted from a cell of that page, or is one of the few listed here that nobody measured.
What the headings of presets promise is no more than what that page has.
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pytest
from pages import PAGES, ROOT

RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
OTHERS = [page for page in PAGES if page.name not in ("results.md", "paper.md")]

Cell = tuple[str, str, int]
"""Heading, how the row begins, and which of the numbers behind that, from 0."""

L2, COST = "Certified in L2", "The cost of a certificate"
WIDE = "A wide layer on a narrow one"
LINF, W1 = "Certified in L-infinity", "Wasserstein-1"
GAN, PAIR = "Generative networks", "A generator and its data"
CIFAR = "CIFAR-10"
MAXMIN = "| GroupSort (MaxMin) |"
ORDER = "| `mnist_linf_order_members`: votes of three |"

QUOTED: dict[str, dict[str, tuple[Cell, ...]]] = {
    "README": {
        "seeds; in binary64, an hour of one core) | **{} %** | {} (CRM, convolutional), {} (": (
            (WIDE, "| `mnist_l2_wider`, in binary64 |", 8), (L2, "| CRM", -1),
            (L2, "| the paper's dense", -1),
        ),
        "at 0.1 / 0.3 (one seed) | **{} / {} %** | {} / {} (SortNet, hours on GPUs), {} / {} (": (
            (LINF, ORDER, 1), (LINF, ORDER, 3), (LINF, "| SortNet", 0), (LINF, "| SortNet", 1),
            (LINF, "| the paper, linear", 0), (LINF, "| the paper, linear", 1),
        ),
        "minutes of one core each) | **{} %** | {} (LipNeXt, on GPUs), {} (": (
            (CIFAR, "| mean of the three seeds |", 1), (CIFAR, "| LipNeXt |", 1),
            (CIFAR, "| the paper's dense network, retrained by Li et al. 2019 |", 1),
        ),
        "128-dimensional cone, proven share of the truth | **{}**": ((W1, "| cone, 128 dim", 0),),
        "of 10,000 points verified | {} s of one core": ((COST, "| verify it |", 0),),
        "# MNIST: {} % certified at 1.58": ((L2, MAXMIN, 8),),
        "# {} %, with bfloat16 in a quarter": ((WIDE, "| `mnist_l2_wide` |", 8),),
        "# {} % (binary64), in about an hour": ((WIDE, "| `mnist_l2_wider`, in binary64 |", 8),),
        "same {} s on one core on MNIST": ((GAN, "evaluation.samples=5000`, the same runs", 0),),
        "gradient penalty have recall {} and {}, precision": (
            (GAN, "| recall (higher) |", 0), (GAN, "| recall (higher) |", 2),
        ),
        "{} and {}, and are {} and {} from the data": (
            (GAN, "| precision (higher) |", 0), (GAN, "| precision (higher) |", 2),
            (GAN, "| W1 of distributions at least", 1), (GAN, "| W1 of distributions at least", 3),
        ),
        "# MNIST, within {} minutes on two cores": ((GAN, "(500 s of training) within", 0),),
    },
    "certificates": {
        "is issued in {} s, verified in {} s,": (
            (COST, "| issue the certificate", 1), (COST, "| verify it |", 0),
        ),
        "with `--exact` in {} s of one core": ((COST, "| verify it with `--exact` |", 0),),
    },
    "wasserstein": {
        "reaches {} to {} of the distance": (
            (W1, "| three cones |", 0), (W1, "| absolute value |", 0),
        ),
        "prove {} times as much": ((PAIR, "| MaxMin |", 11),),
        "{} times; the published ratio is {}": (
            (PAIR, "| MaxMin |", 15), (PAIR, "The published ratio of MaxMin to ReLU on CIFAR", 1),
        ),
        "proves {} of the distance, the extension {}": (
            ("An extension of the potential", "| `experiment=wasserstein_mnist_3_8`, MaxMin", 3),
            ("An extension of the potential", "| `experiment=wasserstein_mnist_3_8_extension`", 1),
        ),
    },
    "wgan": {
        "# MNIST, within {} minutes on two cores": ((GAN, "(500 s of training) within", 0),),
    },
}  # fmt: skip
"""By page: words with a gap for each number, and the cells that the numbers are of."""

UNMEASURED = {
    "README": ("smaller than 1.58", "Python 3.11", "certified at 1.58", "confidence 0.95"),
    "index": ("smaller than 1.58",),
    "radius": ("a radius of 1.58", "by 0.056 each"),
    "certificates": ("up to 10 MB", "3.5 seconds of one core"),
    "trust": ("floods of 10 MB",),
    "tuning": ("from 2.10 on",),
    # What a command shows, which the page has just quoted; an example of a sentence.
    "import": ("at least 19.48 (found", "at most 53.0655 (proven)", "6.81 used", "0.947 used"),
    "pictures": ("median is only 10 % larger",),
    "table": ("for 83 % of",),
}
"""Numbers that define something, with the words beside them."""

_MEASURED = re.compile(
    r"(?<![\w.,-])(?:\d[\d,]*(?:\.\d+)? ?%|\d+\.\d{2,}(?:e-?\d+)?"
    r"|\d[\d.,]*(?= (?:s|seconds|minutes|hours|MB|times|epochs)\b))"
)
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"


def _prose(page: Path) -> str:
    """A page without its inline code and examples, of which the comments are kept."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(
        r"^```.*?^```$",
        lambda block: "\n".join(re.findall(r"^\$ .*?\s(#.*)$", block[0], re.M)),
        text,
        flags=re.M | re.S,
    )
    return re.sub(r"(?<!with )`[^`\n]*`", "", text)


def _source(cell: Cell) -> str:
    heading, begins, place = cell
    parts = re.split(r"^#{2,3} (.*)$", RESULTS, flags=re.M)
    section = dict(zip(parts[1::2], parts[2::2], strict=True))[heading]
    found = [line for line in section.splitlines() if line.startswith(begins)]
    assert len(found) == 1, (cell, found)
    return re.findall(_NUMBER, found[0].removeprefix(begins))[place]


def _agrees(quoted: str, source: str) -> bool:
    """Whether it is the same number, or that number rounded or cut to fewer places."""
    value, told = Decimal(source.replace(",", "")), Decimal(quoted.replace(",", ""))
    return any(told == value.quantize(told, how) for how in (ROUND_HALF_EVEN, ROUND_DOWN))


@pytest.mark.parametrize("page", QUOTED)
def test_what_a_page_quotes_is_what_was_measured(page: str) -> None:
    (path,) = [one for one in OTHERS if one.stem == page]
    text = path.read_text(encoding="utf-8")
    for words, cells in QUOTED[page].items():
        pattern = re.escape(words).replace(r"\{\}", f"({_NUMBER})")
        found = re.findall(pattern, text)
        assert found, f"{page}: no longer says {words!r}"
        for numbers in found:
            numbers = (numbers,) if isinstance(numbers, str) else numbers
            for quoted, cell in zip(numbers, cells, strict=True):
                assert _agrees(quoted, _source(cell)), (page, words, quoted, _source(cell))


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_no_page_has_a_figure_of_its_own(page: Path) -> None:
    text = _prose(page)
    for words in QUOTED.get(page.stem, {}):
        pattern = re.escape(words).replace(r"\{\}", _NUMBER)
        text = re.sub(pattern, "", text)
    for words in UNMEASURED.get(page.stem, ()):
        assert words in text, f"{page.stem}: no longer says {words!r}"
        text = text.replace(words, "")
    assert _MEASURED.findall(text) == [], page


PROMISED = {
    "wasserstein_absolute_value": "| absolute value |",
    "wasserstein_three_cones": "| three cones |",
    "wasserstein_cone_128": "| cone, 128 dimensions |",
    "wasserstein_cone_512": "| cone, 512 dimensions |",
    "wgan_mnist": "(500 s of training) within",
}
"""Presets whose headings name figures, and their rows."""


def test_presets_promise_no_more_than_was_measured() -> None:
    for path in sorted(ROOT.glob("conf/experiment/*.yaml")):
        heading = path.read_text(encoding="utf-8").splitlines()[2]
        told = re.match(r"# At least ([\d.]+) of the true distance in (\d+) seconds", heading)
        if told is None and path.stem in PROMISED:
            assert f"within {_source((GAN, PROMISED[path.stem], 0))} minutes" in heading
        elif told is None:
            assert not _MEASURED.findall(heading.replace("1.58", "")), path
        else:
            cells = RESULTS[RESULTS.index(PROMISED[path.stem]) :].splitlines()[0].split("|")
            share, _, seconds = (re.findall(_NUMBER, cell)[0] for cell in cells[2:5])
            assert float(told[1]) <= float(share) and float(told[2]) >= float(seconds), path


def test_disagreement_is_noticed() -> None:
    assert _agrees("72.9", "72.93") and _agrees("0.9998", "0.99985") and _agrees("2", "2.0")
    assert not any(_agrees(*pair) for pair in [("73.0", "72.93"), ("90.1", "89.99"), ("9", "2.0")])
