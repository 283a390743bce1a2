"""What a report takes for a figure, and of which evidence: changed, broken and later files."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

from by_hand import issued, make_run, tables, trained

from lipsort_cli.certificates.claims import OWN
from lipsort_cli.reports.build import build_report
from lipsort_cli.reports.found import collect
from lipsort_cli.reports.values import figures, shown


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
        "early": "without a record",
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
