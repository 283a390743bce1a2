"""Reports of runs made by hand: rows, spreads, what is missing, and the files that are written."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import json
import math
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lipsort_cli.certificates.claims import OWN
from lipsort_cli.errors import UsageError
from lipsort_cli.reports.blocks import Paragraph, Table
from lipsort_cli.reports.build import Report, build_report
from lipsort_cli.reports.found import collect
from lipsort_cli.reports.markdown import markdown_table
from lipsort_cli.reports.rows import Spread
from lipsort_cli.reports.values import figures, shown
from lipsort_cli.verifier.format import content_digest


def make_run(
    directory: Path,
    *,
    command: str = "train",
    status: str = "finished",
    start: str = "2026-01-01T10:00:00+00:00",
    results: dict[str, Any] | None = None,
    log: list[dict[str, Any]] | None = None,
    **config: Any,
) -> Path:
    """A run directory as the commands leave them; ``a__b=1`` is the key ``a.b``."""
    nested: dict[str, Any] = {"seed": 0, "activation": {"name": "maxmin"}, "model": {"name": "mlp"}}
    for key, value in config.items():
        node = nested
        *parents, last = key.split("__")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra/config.yaml").write_text(yaml.safe_dump(nested))
    (directory / ".hydra/hydra.yaml").write_text(
        yaml.safe_dump({"hydra": {"job": {"name": command}}})
    )
    record = {"command": command, "status": status, "start": start, "seconds": 1.5, "pid": 0}
    (directory / "run.json").write_text(json.dumps(record))
    if results is not None:
        (directory / "results.json").write_text(json.dumps(results))
    lines = "".join(json.dumps(line) + "\n" for line in log or [])
    (directory / "metrics.jsonl").write_text(lines + '{"cut sho')
    return directory


def issued(directory: Path, certificate: dict[str, Any]) -> None:
    certificate["digest"] = content_digest(certificate)
    (directory / "certificate.json").write_text(json.dumps(certificate))


def trained(certified: float, clean: float = 0.9) -> dict[str, Any]:
    return {
        "clean_accuracy": clean,
        "evidence": {"clean_accuracy": "empirical", "lipschitz_bound": "proven"},
        "certified_accuracy": {
            "norm": "l2",
            "eps": {"0.5": certified, "1.58": certified / 2},
            "evidence": "proven",
            "arithmetic": "binary32",
            "points": 100,
        },
        "lipschitz_bound": 1.00000012,
        "parameters": 1234,
        "train_seconds": 2.5,
    }


def tables(*arguments: Any, **options: Any) -> Report:
    """A report without pictures, which take all the time."""
    return build_report(*arguments, pictures=False, **options)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two activations and two seeds."""
    folder = tmp_path / "sweep"
    for job, (activation, seed, value) in enumerate(
        [("relu", 0, 0.5), ("relu", 1, 0.6), ("maxmin", 0, 0.8), ("maxmin", 1, 0.84)]
    ):
        log = [
            {"epoch": 0, "step": s, "split": "train", "loss": 3.0 / s + seed} for s in (10, 20, 30)
        ]
        make_run(
            folder / str(job), results=trained(value), log=log, seed=seed,
            activation__name=activation, training__log_every=job,
        )  # fmt: skip
    return folder


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
    make_run(tmp_path / "new", results=trained(0.6), start="2026-01-02", threads=2)
    report = tables([tmp_path], tmp_path / "out")
    (row,) = report.rows
    assert [run.directory.name for run in row.runs] == ["new"]
    assert (
        "newer run has the same configuration and seed" in (tmp_path / "out/report.md").read_text()
    )


def test_different_evidence_is_never_one_column(tmp_path: Path) -> None:
    weaker = trained(0.6)
    weaker["certified_accuracy"]["evidence"] = "empirical"
    fewer = trained(0.7)
    fewer["certified_accuracy"]["points"] = 10
    for number, results in enumerate((trained(0.5), weaker, fewer)):
        make_run(tmp_path / str(number), results=results, seed=number)
    (row,) = tables([tmp_path], tmp_path / "out").rows
    columns = [c for c in row.figures if c[0] == "certified_accuracy.l2.0.5"]
    assert {c[1:] for c in columns} == {
        ("proven", "binary32, 100 points"),
        ("empirical", "binary32, 100 points"),
        ("proven", "binary32, 10 points"),
    }
    assert all(len(row.figures[c].values) == 1 for c in columns)
    text = (tmp_path / "out/report.md").read_text()
    assert "(n=1)" in text and "(%, empirical)" in text and "10 points (%, proven)" in text


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


def test_broken_runs_are_listed_with_the_reason(sweep: Path, tmp_path: Path) -> None:
    make_run(sweep / "failed", status="failed")
    record = json.loads((sweep / "failed/run.json").read_text())
    (sweep / "failed/run.json").write_text(json.dumps({**record, "reason": "the loss is nan"}))
    make_run(sweep / "killed", status="running")
    make_run(sweep / "stopped", status="interrupted")
    make_run(sweep / "empty")
    (make_run(sweep / "cut") / "results.json").write_text('{"clean_acc')
    (make_run(sweep / "torn") / "run.json").write_text("{")
    (make_run(sweep / "early") / "run.json").unlink()
    (make_run(sweep / "unconfigured", results=trained(0.5)) / ".hydra/config.yaml").unlink()
    part = make_run(sweep / "partly", results=trained(0.5)) / ".hydra/config.yaml"
    part.write_text("activation:\n  name: maxmin\nmodel:\n  name: ml")
    make_run(sweep / "listed", results={"evidence": {}, "note": "nothing"})
    make_run(sweep / "other", command="certify", results=trained(0.9))
    report = tables([sweep], tmp_path / "out")
    found = {one.directory.name: one for one in report.broken}
    assert {name: one.status for name, one in found.items()} == {
        "failed": "failed",
        "killed": "killed",
        "stopped": "interrupted",
        "empty": "finished",
        "cut": "finished",
        "torn": "unreadable",
        "early": "not begun",
        "unconfigured": "finished",
        "partly": "finished",
        "listed": "finished",
    }
    assert found["failed"].reason == "the loss is nan"
    assert "results.json" in found["empty"].reason
    assert "cut short" in found["partly"].reason
    assert sum(len(row.runs) for row in report.rows) == 4
    for file in ("report.md", "report.html"):
        text = (tmp_path / "out" / file).read_text()
        for name in found:
            assert f"/{name}" in text, (file, name)
    assert "10 runs without results" in (tmp_path / "out/report.md").read_text()


def test_figures_of_files_that_were_changed_are_not_shown(sweep: Path, tmp_path: Path) -> None:
    """Other weights than the run ended with; a certificate that was edited, or is of others."""
    for name in ("weights", "edited", "other", "unsigned", "honest", "deleted", "relabelled"):
        run = make_run(sweep / name, results=trained(0.5), seed=len(name))
        (run / "model.safetensors").write_bytes(b"weights")
        digest = hashlib.sha256(b"weights").hexdigest()
        record = json.loads((run / "run.json").read_text())
        record["weights"] = {"model.safetensors": digest}
        record["results"] = hashlib.sha256((run / "results.json").read_bytes()).hexdigest()
        (run / "run.json").write_text(json.dumps(record))
        network = {"file": "model.safetensors", "file_sha256": "0" if name == "other" else digest}
        issued(run, {"network": network, "summary": {"correct": 3}})
    (sweep / "weights/model.safetensors").write_bytes(b"others")
    (sweep / "deleted/model.safetensors").unlink()
    path = sweep / "edited/certificate.json"
    path.write_text(path.read_text().replace("3", "4", 1))
    path = sweep / "unsigned/certificate.json"
    path.write_text(json.dumps({"summary": {"correct": 4}}))
    path = sweep / "relabelled/results.json"
    path.write_text(path.read_text().replace("empirical", "proven"))
    reasons = {one.directory.name: one.reason for one in tables([sweep], tmp_path / "out").broken}
    assert set(reasons) == {"weights", "edited", "other", "unsigned", "relabelled"}
    assert "results.json was changed after the run" in reasons.pop("relabelled")
    assert "changed or damaged" in reasons.pop("weights")
    assert all("issue it again: `lipsort certify" in reason for reason in reasons.values())


def test_figures_that_bear_no_digest_are_said_to_bear_none(tmp_path: Path) -> None:
    def text() -> str:
        build_report([tmp_path / "runs"], tmp_path / "out")
        return (tmp_path / "out/report.md").read_text()

    runs = [make_run(tmp_path / "runs" / name, results=trained(0.5), seed=1) for name in "ab"]
    assert "; 2 of 2 recorded no SHA-256 of results.json" in text()
    for run in runs:
        assert "recorded no SHA-256" in text()
        record = json.loads((run / "run.json").read_text())
        record["results"] = hashlib.sha256((run / "results.json").read_bytes()).hexdigest()
        (run / "run.json").write_text(json.dumps(record))
    assert "recorded no SHA-256" not in text()


def test_what_was_measured_is_not_called_proven(sweep: Path) -> None:
    """Attacks and inspections only ever measure, whatever their files say of themselves."""
    said = {"evidence": "proven", "eps": {"0.5": 0.9}}
    (sweep / "0/attack.json").write_text(json.dumps({"norm": "l2", "attacked_accuracy": said}))
    said = {"evidence": {"largest": "confidence 0.99"}, "largest": 0.1}
    (sweep / "0/inspect.json").write_text(json.dumps({"jacobian": said}))
    (run,), _ = collect([sweep / "0"], ["train"])
    later = {f.name: f.evidence for f in run.figures if f.name.startswith(("attack", "inspect"))}
    assert set(later) == {"attack.attacked_accuracy.l2.0.5", "inspect.jacobian.largest"}
    assert set(later.values()) == {"empirical"}


def test_only_broken_runs_are_a_report_too(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/a", status="failed")
    report = tables([tmp_path / "runs"], tmp_path / "out")
    assert report.rows == [] and len(report.broken) == 1


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


def test_every_figure_keeps_its_evidence() -> None:
    found = {f.name: f for f in figures(trained(0.5))}
    assert found["certified_accuracy.l2.1.58"].evidence == "proven"
    assert found["clean_accuracy"].evidence == "empirical"
    assert found["parameters"].evidence == "count"
    assert "certified_accuracy.points" not in found
    bounds = {
        "lower_bound": {"value": 0.5, "evidence": "confidence 0.95", "about": "the populations"},
        "quality": {"kid": {"value": 0.1, "evidence": "empirical"}, "covered": 9},
        "lipschitz_bound": 1.0,
        "broken": math.nan,
        "flag": True,
        "list": [1, 2],
    }
    found = {f.name: f for f in figures(bounds, "estimate-wasserstein")}
    assert set(found) == {"lower_bound", "quality.kid", "quality.covered", "lipschitz_bound"}
    assert found["lower_bound"].evidence == "confidence 0.95"
    assert found["lower_bound"].detail == "the populations"
    assert found["lipschitz_bound"].evidence == "proven"
    assert found["quality.covered"].evidence == "evidence not stated"
    assert figures(bounds)[-1].evidence == "evidence not stated"  # another command's constant
    assert figures([1]) == []


def test_proven_figures_are_rounded_to_the_side_on_which_they_hold() -> None:
    assert shown("certified_accuracy.l2.1.0", 0.99999, "proven") == "99.99"
    assert shown("clean_accuracy", 0.99999, "empirical") == "100.00"
    assert float(shown("lipschitz_bound", 1.0000001, "proven", 4)) >= 1.0000001
    assert float(shown("population_upper_bound", 1.23456, "confidence 0.95", 3)) >= 1.23456
    assert float(shown("lower_bound", 1.23456, "proven", 3)) <= 1.23456


def test_later_commands_figures_join_those_of_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", results=trained(0.5))
    (run / "attack.json").write_text(
        json.dumps({"norm": "l2", "arithmetic": "real", "points": 7,
                    "median_distance_over_radius": 1.5,
                    "attacked_accuracy": {"evidence": "empirical", "eps": {"0.5": 0.6}}})
    )  # fmt: skip
    issued(run, {
        "claim": {"norm": "linf", "arithmetic": "real"},
        "routes": [{"norm": "l2"}, {"norm": "linf"}],
        "points": {"index": [0, 1], "route": [1, 0], "radius": ["0x0p+0", "0x1p-2"]},
        "summary": {"certified_at": [{"eps": (0.25).hex(), "count": 1}]},
    })  # fmt: skip
    (row,) = tables([tmp_path], tmp_path / "out").rows
    values = {name: (spread.mean, e, d) for (name, e, d), spread in row.figures.items()}
    assert values["attack.attacked_accuracy.l2.0.5"] == (0.6, "empirical", "real, 7 points")
    median = values["attack.median_distance_over_radius"]
    assert median == (1.5, "empirical", "real, L2, 7 points")
    assert values["certificate.certified_accuracy.linf.0.25"] == (
        0.5, "proven", "real, 2 points, as issued",
    )  # fmt: skip
    (run / "certificate.json").write_text('{"claim": 3}')
    tables([tmp_path], tmp_path / "out")


def test_a_certificate_of_other_points_is_not_one_of_the_test_set(tmp_path: Path) -> None:
    """Whoever takes a network's own predictions for labels finds no wrong ones among them."""
    sources = {"python": "arrays in Python", "own": f"arrays in Python; labels are {OWN}"}
    for name, source in sources.items():
        issued(make_run(tmp_path / name, results=trained(0.5)), {
            "claim": {"norm": "l2", "arithmetic": "real"},
            "data": {"source": source},
            "points": {"index": [0, 1]},
            "summary": {"certified_at": [{"eps": (0.25).hex(), "count": 2}]},
        })  # fmt: skip
    found = {
        run.directory.name: [f for f in run.figures if f.name.startswith("certificate.")]
        for run in collect([tmp_path], ["train"])[0]
    }
    assert [f.name for f in found["own"]] == ["certificate.certified_share.l2.0.25"]
    assert [f.name for f in found["python"]] == ["certificate.certified_accuracy.l2.0.25"]
    assert all(
        f.detail == f"real, 2 points, as issued, {sources[n]}" for n in found for f in found[n]
    )


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


# --- renderings -------------------------------------------------------------------------------


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
