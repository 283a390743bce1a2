"""Reports of runs made by hand: rows, spreads, and which runs are found."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from by_hand import issued, make_run, tables, trained
from hypothesis import given
from hypothesis import strategies as st

from lipsort_cli.certificates.claims import OWN
from lipsort_cli.errors import UsageError
from lipsort_cli.reports.build import build_report
from lipsort_cli.reports.found import collect
from lipsort_cli.reports.rows import Spread


def test_seeds_are_pooled_and_only_differing_keys_are_shown(sweep: Path, tmp_path: Path) -> None:
    report = tables([sweep], tmp_path / "out")
    assert [row.settings for row in report.rows] == [
        {"activation": "maxmin"},
        {"activation": "relu"},
    ]
    assert [len(row.runs) for row in report.rows] == [2, 2]
    found = report.rows[0].figures["certified_accuracy.l2.0.5", "proven", "binary32, 100 points"]
    assert found.mean == pytest.approx(0.82)
    assert found.deviation == pytest.approx(statistics.stdev([0.8, 0.84]))
    text = (tmp_path / "out/report.md").read_text()
    # Proven, so rounded down; the spread is no claim, so rounded to the nearest.
    assert "| 1 | maxmin | 2 | 90.00 ± 0.00 | 82.00 ± 2.83 |" in text
    assert "training.log_every" not in text


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_a_spread_is_the_textbooks(values: list[float]) -> None:
    spread = Spread(tuple(values))
    assert min(values) <= spread.mean <= max(values)
    assert spread.mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    expected = statistics.stdev(values) if len(values) > 1 else 0.0
    assert spread.deviation == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert spread.half_range == (max(values) - min(values)) / 2


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        (None, "maxmin"),
        ("certified_accuracy.l2.1.58", "maxmin"),
        ("-certified_accuracy.l2.1.58", "relu"),
        ("activation", "maxmin"),
        ("-activation", "relu"),
    ],
)
def test_rows_are_sorted_by_what_is_asked_for(
    sweep: Path, tmp_path: Path, sort: str | None, first: str
) -> None:
    assert tables([sweep], tmp_path / "out", sort=sort).rows[0].name == first


def test_a_radius_at_which_nothing_is_certified_sorts_nothing(tmp_path: Path) -> None:
    for name, certified in (("relu", 0.1), ("maxmin", 0.6), ("fullsort", 0.3)):
        results = trained(certified)
        results["certified_accuracy"]["eps"]["1.58"] = 0.0
        make_run(tmp_path / name, results=results, activation__name=name)
    report = tables([tmp_path], tmp_path / "out")
    assert [row.name for row in report.rows] == ["maxmin", "fullsort", "relu"]
    assert "Sorted by certified_accuracy.l2.0.5" in (tmp_path / "out/report.md").read_text()


def test_rows_by_other_keys(sweep: Path, tmp_path: Path) -> None:
    single = tables([sweep], tmp_path / "out", pool=[])
    assert len(single.rows) == 4 and set(single.rows[0].settings) == {"seed", "activation"}
    all_of_them = tables([sweep], tmp_path / "out", group=["model"])
    assert [len(row.runs) for row in all_of_them.rows] == [4]
    by_seed = tables([sweep], tmp_path / "out", group=["seed"])
    assert [row.settings for row in by_seed.rows] in (
        [{"seed": "1"}, {"seed": "0"}],
        [{"seed": "0"}, {"seed": "1"}],
    )


def test_a_key_that_follows_from_another_is_left_out(tmp_path: Path) -> None:
    make_run(tmp_path / "a", results=trained(0.5), activation__name="relu")
    for size in (4, 4):
        make_run(
            tmp_path / f"b{len(list(tmp_path.iterdir()))}", results=trained(0.6),
            seed=len(list(tmp_path.iterdir())), activation__name="groupsort",
            activation__group_size=size,
        )  # fmt: skip
    report = tables([tmp_path], tmp_path / "out")
    assert {tuple(row.settings) for row in report.rows} == {("activation",)}
    make_run(
        tmp_path / "c", results=trained(0.7), activation__name="groupsort", activation__group_size=8
    )
    report = tables([tmp_path], tmp_path / "out")
    assert set(report.rows[0].settings) == {"activation", "activation.group_size"}


def test_other_data_are_another_row(tmp_path: Path) -> None:
    for name, digest in (("a", "1" * 64), ("b", "2" * 64)):
        run = make_run(tmp_path / name, results=trained(0.5), seed=len(name + digest))
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**record, "data": {"sha256": digest}}))
    report = tables([tmp_path], tmp_path / "out")
    assert {row.settings["data.sha256"] for row in report.rows} == {"1" * 12, "2" * 12}


def test_a_repeated_run_does_not_count_twice(tmp_path: Path) -> None:
    make_run(tmp_path / "old", results=trained(0.5), start="2026-01-01", threads=1)
    make_run(tmp_path / "new", results=trained(0.6), start="2026-01-02", threads=2, objective="x")
    report = tables([tmp_path], tmp_path / "out")
    (row,) = report.rows
    assert [run.directory.name for run in row.runs] == ["new"]
    assert (
        "newer run has the same configuration and seed" in (tmp_path / "out/report.md").read_text()
    )


def test_seeds_stay_together_however_their_radii_were_proven(tmp_path: Path) -> None:
    """Which route proves how many radii is chance, and says nothing of what was proven."""
    for seed, share in enumerate((0.98, 0.97, 1.0)):
        results = trained(0.5 + seed / 10)
        results["certified_accuracy"]["routes"] = {"l2": share, "linf": 1 - share}
        make_run(tmp_path / str(seed), results=results, seed=seed)
    (row,) = tables([tmp_path], tmp_path / "out").rows
    (found,) = (f for (name, *_), f in row.figures.items() if name == "certified_accuracy.l2.0.5")
    assert len(found.values) == 3


def test_settings_that_are_almost_equal_are_other_rows(tmp_path: Path) -> None:
    for name, rate in (("a", 0.12345671), ("b", 0.12345672)):
        make_run(tmp_path / name, results=trained(0.5), optimizer__lr=rate)
    report = tables([tmp_path], tmp_path / "out")
    assert {row.settings["optimizer.lr"] for row in report.rows} == {"0.12345671", "0.12345672"}


def test_figures_of_different_norms_are_never_one_column(tmp_path: Path) -> None:
    """A Lipschitz constant or a distance means nothing without its norm."""
    bound = {"value": 1.0, "evidence": "proven", "about": "the two samples compared"}
    for norm in ("l2", "l1"):
        run = tmp_path / norm
        make_run(run / "train", results=trained(0.5), evaluation__norm=norm)
        make_run(run / "w1", command="estimate-wasserstein", norm=norm,
                 results={"lower_bound": bound, "lipschitz_bound": 1.0})  # fmt: skip
    rows = tables([tmp_path], tmp_path / "out", group=["activation"]).rows
    assert [len(row.runs) for row in rows] == [2, 2]
    for row in rows:
        columns = [c for c in row.figures if c[0] in ("lipschitz_bound", "lower_bound")]
        assert {c[2].rpartition(", ")[2] for c in columns} == {"L2", "L1"}
        assert all(len(row.figures[c].values) == 1 for c in columns)
    text = (tmp_path / "out/report.md").read_text()
    assert "differ only in evaluation.norm" in text and "differ only in norm" in text


# --- what is missing or broken ----------------------------------------------------------------


def test_folders_patterns_and_duplicates(sweep: Path, tmp_path: Path) -> None:
    runs, _ = collect([sweep, sweep / "0", str(tmp_path / "sw*")], ["train"])
    assert len(runs) == 4
    runs, _ = collect([str(sweep / "[01]")], ["train"])
    assert len(runs) == 2
    with pytest.raises(UsageError, match="no such directory"):
        collect([tmp_path / "absent"], ["train"])
    with pytest.raises(UsageError, match="is a file"):
        collect([sweep / "0/run.json"], ["train"])
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match="no run in.*of train; trials of .*resume=TRIAL"):
        collect([tmp_path / "bare"], ["train"])


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"sort": "certified_accuracy.l2.158"}, "did you mean certified_accuracy.l2.1.58"),
        ({"columns": ["cleen*"]}, "columns: found 'cleen*'"),
        ({"spread": "range"}, "spread: found 'range'"),
    ],
)
def test_names_that_no_run_has_are_refused(
    sweep: Path, tmp_path: Path, options: dict[str, Any], part: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(part)):
        tables([sweep], tmp_path / "out", **options)


# --- figures ----------------------------------------------------------------------------------


def test_the_curve_is_drawn_from_the_radii_of_all_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lipsort_cli.reports import pictures

    drawn: dict[str, Any] = {}
    monkeypatch.setattr(pictures, "draw_accuracy", lambda *_, **options: drawn.update(options))
    radii = [0.0, 0.25, 0.5, 1.0]
    few = radii[:2]
    sources = {"all": "d, test set", "few": "d, test set", "others": "arrays in Python",
               "own": f"d, test set; labels are {OWN}"}  # fmt: skip
    for name, known in (
        *(("all", radii), ("none", None)),
        *(("few", few), ("others", radii), ("own", radii), ("real", radii)),
    ):
        results = trained(0.5)
        results["certified_accuracy"]["points"] = 4
        run = make_run(tmp_path / name, results=results, activation__name=name)
        if known is not None:
            certificate = {
                "claim": {"norm": "l2", "arithmetic": "real" if name == "real" else "binary32"},
                "data": {"source": sources.get(name, "")},
                "points": {"index": [0, 1, 2, 3], "radius": [r.hex() for r in known]},
                "summary": {"certified_at": []},
            }
            issued(run, certificate)
    build_report([tmp_path], tmp_path / "out")
    assert set(drawn["curves"]) == {"all"}
    curve = drawn["curves"]["all"]
    for eps, share in zip(curve.x, curve.mean, strict=True):
        assert share == sum(radius >= eps for radius in radii) / 4
    assert len(curve.x) > 300 and curve.mean[0] == 0.75 and curve.x[-1] == 1.0
