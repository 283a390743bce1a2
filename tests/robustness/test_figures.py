"""Pictures: every one of them survives whatever is to be shown, and none costs a result."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lipsort_cli
from lipsort_cli.figures import comparison, inspection, robustness
from lipsort_cli.figures.style import bins, drawing, picture
from lipsort_cli.gan.figures import draw_training
from lipsort_cli.reproduction import draw as reproduction
from lipsort_cli.reproduction.jobs import Job
from lipsort_cli.reproduction.outcomes import Arm, Outcome
from lipsort_cli.reproduction.statistics import Sample
from lipsort_cli.wasserstein import figures as wasserstein

pytestmark = pytest.mark.pictures

PACKAGE = Path(lipsort_cli.__file__).parent

HISTORY = ("step", "w1_lower", "critic_gap", "gradient_norm", "gradient_norm_largest")

VALUES = {
    "one": np.array([0.3]),
    "constant at 1e15": np.full(20, 1e15),
    "next to each other": np.array([1e15, np.nextafter(1e15, 2e15)] * 10),
    "huge": np.linspace(-1e300, 1e300, 20),
    "not finite": np.array([np.nan, np.inf, 1.0, -np.inf] * 5),
}


def lines(v: np.ndarray) -> list[comparison.Line]:
    some = v.tolist()
    return [comparison.Line(f"$x^_{i}$ \x1b", some, some, some, some) for i in range(2)]


def entries(v: np.ndarray) -> dict[str, Any]:
    return {"a": [(float(x), float(x)) for x in v[:4]], "b": [(0.5, 0.5)]}


def sample(v: np.ndarray) -> Sample:
    return Sample({i: float(x) for i, x in enumerate(v)})


def arm(v: np.ndarray) -> Arm:
    jobs = [Job("train", (), Path(str(i)), {"seed": str(i)}) for i in range(len(v))]
    return Arm("ours/a_b", (("activation", "relu"),), tuple(map(Outcome, jobs)))


def critic(v: np.ndarray) -> Callable[[Any], Any]:
    return lambda points: np.resize(v, len(points)).astype(float)


PICTURES: dict[str, Callable[[Path, np.ndarray], bool]] = {
    "robustness": lambda p, v: robustness.draw_robustness(
        p, v, norm="l2", title="$", clean=0.5, attacked={0.1: 0.4}, eps=v[:3]
    ),
    "accuracy": lambda p, v: comparison.draw_accuracy(p, lines(v), {}, norm="l2", title="$_"),
    "metrics": lambda p, v: comparison.draw_metrics(p, {"loss": lines(v)}, "t"),
    "bars": lambda p, v: comparison.draw_bars(
        p, ["a", "b"], [v, v[:1]], quantity="q", title="t", percent=False
    ),
    "intervals": lambda p, v: comparison.draw_intervals(
        p, ["a"] * len(v), v, v, v.tolist(), "t"
    ),
    "layers": lambda p, v: inspection.draw_layer_values(p, {"a": [v, v], "b": [v]}, "t"),
    "depth": lambda p, v: inspection.draw_over_depth(
        p, {"a": (v, v, v)}, quantity="q", title="t"
    ),
    "activity": lambda p, v: inspection.draw_activity(p, entries(v), "t"),
    "gradients": lambda p, v: inspection.draw_gradients(
        p,
        np.resize(np.clip(v, -1e38, 1e38), (2, 1, 4, 4)).astype("f4"),
        {"a": np.resize(np.clip(v, -1e38, 1e38), (2, 1, 4, 4)).astype("f4")},
        captions=["a", "b"],
        title="t",
    ),
    "line": lambda p, v: wasserstein.draw_line(
        p, v[:, None], v[:, None], critic(v), critic(v), "t"
    ),
    "plane": lambda p, v: wasserstein.draw_plane(
        p, np.c_[v, v], np.c_[v, v], critic(v), lambda x: np.resize(v, x.shape),
        (np.c_[v, v], np.c_[v, v]), critic(v), "t",
    ),
    "history": lambda p, v: wasserstein.draw_history(
        p, list(enumerate(v.tolist())), float(v[0]), float(v[-1]), "t"
    ),
    "norms": lambda p, v: wasserstein.draw_gradient_norms(p, v, "L2", "t"),
    "values": lambda p, v: wasserstein.draw_values(p, v, v, "t"),
    "training": lambda p, v: draw_training(
        p, [dict.fromkeys(HISTORY, float(x)) for x in v], True, "t"
    ),
    "dots": lambda p, v: reproduction.dots(
        p, [Arm("paper/a", (), ()), arm(v)], lambda outcome: float(v[outcome.job.seed]),
        xlabel="x", title="t", log=True,
    ),
    "curves": lambda p, v: reproduction.curves(
        p, [("a", v.tolist(), [sample(v)] * len(v))], xlabel="x", ylabel="y", title="t", log="xy"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_shows_constant_and_huge_values(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, values in VALUES.items():
        path = tmp_path / f"{kind}.png"
        drawn = PICTURES[name](path, values)
        said = capsys.readouterr().err
        assert drawn == path.is_file() == ("no picture" not in said), kind
        # Those that people meet are drawn; of what is no number, a warning will do.
        assert drawn or kind in ("huge", "not finite"), f"{kind}: {said}"


def test_everything_that_draws_is_made_to_survive() -> None:
    missing, found = [], 0
    for path in [*PACKAGE.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or node.name == "picture":
                continue
            calls = [getattr(c.func, "id", "") for c in ast.walk(node) if isinstance(c, ast.Call)]
            decorated = any(getattr(d, "id", "") == "drawing" for d in node.decorator_list)
            if "picture" in calls:
                found += 1
                if not decorated:
                    missing.append(f"{path.name}:{node.name}")
    assert found > 20 and not missing


def test_logarithmic_axes_show_numbers(tmp_path: Path) -> None:
    with picture(tmp_path / "log.png") as (_, axes):
        axes.plot([1, 1000], [1, 5])
        axes.set(xscale="log", yscale="log")
    for axis, wanted in ((axes.xaxis, {"1", "10", "1000"}), (axes.yaxis, {"1", "2", "5"})):
        shown = {label.get_text() for label in axis.get_ticklabels(which="both")}
        assert wanted <= shown and not any("$" in text for text in shown), shown


def test_steps_and_trials_are_whole_numbers(tmp_path: Path) -> None:
    with picture(tmp_path / "few.png") as (_, axes):
        axes.plot([0, 3], [0, 3])
        axes.set(xlabel="trial", ylabel="any")
    across, up = (axis.get_major_locator()() for axis in (axes.xaxis, axes.yaxis))
    assert all(tick == round(tick) for tick in across) and 0.5 in up


def test_a_long_title_is_broken_and_not_cut_off(tmp_path: Path) -> None:
    with picture(tmp_path / "long.png") as (figure, axes):
        axes.set_title("a name of twenty-five letters and more, " * 4)
    around, whole = axes.title.get_window_extent(), figure.bbox
    assert around.x0 >= whole.x0 and around.x1 <= whole.x1


def test_every_group_is_shown_whole_where_one_network_has_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    @contextmanager
    def watched(path: Path, **size: float) -> Iterator[Any]:
        with picture(path, **size) as (figure, axes):
            yield figure, axes
        seen.append(axes.get_xlim())

    monkeypatch.setattr(inspection, "picture", watched)
    pairs = {name: [(0.5, 0.1)] * count for name, count in (("a", 3), ("b", 1), ("c", 1))}
    assert inspection.draw_activity(tmp_path / "a.png", pairs, "t")
    values = {name: [np.ones(2)] * len(found) for name, found in pairs.items()}
    assert inspection.draw_layer_values(tmp_path / "b.png", values, "t")
    assert seen == [(0.5, 3.5)] * 2


def test_a_failing_picture_is_a_warning_and_leaves_no_older_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @drawing
    def draw(path: Path, fail: bool) -> None:
        with picture(path) as (_, axes):
            axes.plot([1, 2])
            if fail:
                raise ValueError("Too many bins\nfor data range")

    assert draw(tmp_path / "a.png", False) and (tmp_path / "a.png").is_file()
    assert not draw(tmp_path / "a.png", True) and not (tmp_path / "a.png").exists()
    assert "Too many bins" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert not draw(tmp_path / "file/b.png", False)
    assert "cannot write" in capsys.readouterr().err
    monkeypatch.setenv("LIPSORT_DEBUG", "1")
    with pytest.raises(ValueError):
        draw(tmp_path / "a.png", True)


@pytest.mark.parametrize("kind", VALUES)
def test_bins_differ_and_cover_what_is_finite(kind: str) -> None:
    values = VALUES[kind]
    edges = bins(values, 60)
    assert len(edges) == 61
    if kind != "huge":
        assert (np.diff(edges) > 0).all()
        finite = values[np.isfinite(values)]
        assert edges[0] <= finite.min() and finite.max() <= edges[-1]


def test_a_critic_that_is_constant_in_float32_costs_no_result(shop: Any, tmp_path: Path) -> None:
    """Nanosecond timestamps within a microsecond."""
    from fuzz import attempt

    times = 1.7e18 + 256.0 * np.random.default_rng(0).integers(0, 4, (50, 1))
    np.save(tmp_path / "p.npy", times)
    np.save(tmp_path / "q.npy", times + 512)
    given = ["distribution=files", "distribution.p=p.npy", "distribution.q=q.npy"]
    small = ["training.steps=5", "model.widths=[8]", "evaluation.points=20", "hydra.run.dir=o"]
    line = ["estimate-wasserstein", *given, *small]
    done = attempt(line, tmp_path)
    assert done.code == 0 and "Traceback" not in done.err, done.err
    assert (tmp_path / "o/results.json").is_file()
    assert (tmp_path / "o/figures/critic_values.png").is_file()


def test_the_means_of_weighted_samples_are_weighted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes

    lines, heights = [], []
    draw_line, draw_bars = Axes.axvline, Axes.hist
    monkeypatch.setattr(
        Axes, "axvline", lambda self, x, **look: [lines.append(x), draw_line(self, x, **look)][1]
    )

    def hist(self: Axes, *given: Any, **look: Any) -> Any:
        found = draw_bars(self, *given, **look)
        heights.append(found[0])
        return found

    monkeypatch.setattr(Axes, "hist", hist)
    p, q = np.array([0.0, 1.0]), np.array([0.0, 0.5, 1.0])
    weights = np.array([3.0, 1.0]), np.array([0.0, 0.0, 2.0])
    assert wasserstein.draw_values(tmp_path / "v.png", p, q, "t", weights)
    assert lines == [0.25, 1.0]
    assert [h[h > 0].tolist() for h in heights] == [[1.5, 0.5], [3.0]]
