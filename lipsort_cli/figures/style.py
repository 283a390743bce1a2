"""One look for every picture: legible at half size, readable in grey, no display needed."""

from __future__ import annotations

import functools
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray

from lipsort_cli.console import warn
from lipsort_cli.errors import Interrupted, first_line
from lipsort_cli.files import make_folder, write_atomic

# Paul Tol's bright scheme, ordered so that lightness falls as well: they differ in grey too.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#AA3377", "#66CCEE")
# One more than colours: a colour that returns has another marker.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


_P = ParamSpec("_P")


def drawing(
    function: Callable[Concatenate[Path, _P], object],
) -> Callable[Concatenate[Path, _P], bool]:
    """Make ``function(path, ...)``, which draws into ``path``, answer whether that succeeded.

    Everything that draws is made with it: a failure is a warning, so that no result is lost
    because of how it looks, and removes an older picture, which would be taken for the new one.
    With ``LIPSORT_DEBUG=1`` the failure is raised.
    """

    @functools.wraps(function)
    def attempt(path: Path, *arguments: _P.args, **options: _P.kwargs) -> bool:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of values that a scale or a font does not fit
                return function(path, *arguments, **options) is not False
        except Interrupted:
            raise
        except Exception as error:
            if os.environ.get("LIPSORT_DEBUG") == "1":
                raise
            warn(f"no picture {path}: {first_line(error)}")
            if path.suffix:
                with suppress(OSError):
                    path.unlink()
            return False

    return attempt


def bins(values: NDArray[np.float64], count: int = 60) -> NDArray[np.float64]:
    """Edges [count + 1] around all finite ``values``, wide enough to differ as floats."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    least = count * 4 * float(np.spacing(max(abs(low), abs(high))))
    if high - low < least:
        middle = low / 2 + high / 2
        half = max(least, abs(middle) / 100 or 0.5) / 2
        low, high = middle - half, middle + half
    return np.linspace(low, high, count + 1)


def segments(starts: Any, ends: Any) -> Any:
    """Points [n, 2] of the plane and [n, 2] as ``plot`` joins them pairwise: [2, 2, n]."""
    return np.stack([starts, ends]).transpose(2, 0, 1)


def _set_ticks(axis: Any) -> None:
    """Whole numbers where things are counted; on a logarithmic axis numbers, as matplotlib's are
    mathematics, not parsed here."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if axis.get_scale() != "log":
        if axis.get_label_text().endswith(("step", "trial")):
            axis.get_major_locator().set_params(integer=True)
        return
    low, high = axis.get_view_interval()
    axis.set_major_formatter("{x:g}")
    if high > 100 * low:
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
        axis.set_minor_formatter("{x:g}")


@contextmanager
def picture(path: Path, *, width: float = 6.4, height: float = 4.0) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes; saved to ``path`` atomically when the block ends.

    Raises:
        LipsortError: the file cannot be written.
    """
    # A backend that the environment names may not exist here; none is needed.
    os.environ["MPLBACKEND"] = "agg"
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where HOME cannot be written
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.edgecolor": "none",  # legible on what it lies over
            "text.parse_math": False,  # names of runs may hold dollar signs
        }
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        yield figure, axes
        for part in figure.axes:
            part.title.set_wrap(True)  # names of files are as long as they are
            for axis in (part.xaxis, part.yaxis):
                _set_ticks(axis)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": "lipsort"})
    make_folder(path.parent)
    write_atomic(path, buffer.getvalue())
