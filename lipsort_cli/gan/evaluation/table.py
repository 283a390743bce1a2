"""The measures on screen: 80 columns, what holds in one direction rounded in that direction."""

from __future__ import annotations

from rich import box
from rich.table import Table

from lipsort_cli.console import console
from lipsort_cli.directed_text import at_least
from lipsort_cli.gan.evaluation.kernel import Estimate
from lipsort_cli.gan.evaluation.measures import DATA, GENERATED, Measure

_ARROWS = {"lower": "↓", "higher": "↑", None: ""}


def value_text(measure: Measure, value: Estimate) -> str:
    """A value with its standard error; bounds rounded down, as they are lower ones."""
    if measure.evidence != "empirical":
        return at_least(value.value, 4)
    if value.standard_error > 0:
        return f"{value.value:.3g} ± {value.standard_error:.1g}"
    return f"{value.value:.4g}"


def show(measures: dict[str, Measure], count: int, features: str) -> None:
    """Print the table and how it is to be read."""
    table = Table(
        title=f"{count:,} generated samples against as many test examples",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for name in ("measure", GENERATED, DATA, "evidence"):
        table.add_column(name, justify="right" if name in (GENERATED, DATA) else "left")
    for measure in measures.values():
        cells = [
            value_text(measure, measure.values[row]) if row in measure.values else ""
            for row in (GENERATED, DATA)
        ]
        title = f"{measure.title} {_ARROWS[measure.better]}".rstrip()
        table.add_row(title, *cells, measure.evidence)
    console.print(table)
    console.print(
        "Arrows: which way is better. Column data: training examples in the samples' place,\n"
        "as from a perfect generator"
    )
    console.print(f"Features: {features}")
