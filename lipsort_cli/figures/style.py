"""One look for every picture: legible at half size, readable in grey, no display needed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lipsort_cli.runs import write_atomic, write_error

# Paul Tol's bright scheme, ordered so that lightness falls as well: they differ in grey too.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#AA3377", "#66CCEE")
MARKERS = ("o", "s", "^", "D", "v", "P")


@contextmanager
def picture(path: Path, *, width: float = 6.4, height: float = 4.0) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes; saved to ``path`` atomically when the block ends.

    Raises:
        LipsortError: the file cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
        }
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        yield figure, axes
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": "lipsort"})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    write_atomic(path, buffer.getvalue())
