"""Verdicts and the report, from runs made by hand; the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli.app import run
from lipsort_cli.commands.reproduce import _conclude
from lipsort_cli.config.data import DownloadedData
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.reproduction import record
from lipsort_cli.reproduction.draw import labels
from lipsort_cli.reproduction.jobs import MARK, Job
from lipsort_cli.reproduction.outcomes import Arm
from lipsort_cli.reproduction.plan import Plan, choose, plan
from lipsort_cli.reproduction.statistics import Sample, greater
from lipsort_cli.reproduction.studies import STUDIES
from lipsort_cli.reproduction.study import FAILS, HOLDS, MISSING, Check

EPS = ("0.3", "0.5", "1.0", "1.58")


def made(out: Path, gain: float, seeds: int = 3) -> Plan:
    """Experiment 5 with results by hand: MaxMin is certified ``gain`` further than ReLU."""
    planned = plan(choose(STUDIES, ["5"]), out, range(seeds), "quick")
    for job in planned.jobs:
        shift = gain if job.arm["activation"] == "maxmin" else 0.0
        job.directory.mkdir(parents=True)
        value = 0.5 + shift + 0.001 * job.seed**2
        results = {
            "clean_accuracy": 0.9,
            "lipschitz_bound": 1.0,
            "certified_accuracy": {"norm": "l2", "eps": dict.fromkeys(EPS, value)},
            "attacked_accuracy": {"norm": "l2", "eps": dict.fromkeys(EPS, value + 0.05)},
        }
        record = {"command": "train", "status": "finished", "seed": job.seed}
        (job.directory / "results.json").write_text(json.dumps(results))
        (job.directory / "run.json").write_text(json.dumps(record))
        (job.directory / MARK).write_text('{"finished": true, "seconds": 60.0}')
    return planned


def conclude(planned: Plan, out: Path) -> int:
    return _conclude(planned, out, {}, "quick", out / "kept")


def test_a_report_of_what_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude(made(tmp_path, 0.1), tmp_path) == 0
    shown = capsys.readouterr().out
    for side in ("as published", "ours"):
        assert f"holds, {side}: MaxMin is certified further" in shown
    assert "1 experiment: 1 hold" in shown
    text = (tmp_path / "report.md").read_text()
    for words in ("| holds |", "54.46", "62.8", "95% lower limit 10", "over 3 seeds", "12 jobs"):
        assert words in text, words
    html = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64" in html and "http://" not in html.replace("www.w3.org", "")


@pytest.mark.parametrize("gain", [0.0, -0.1])
def test_an_ordering_that_fails_is_exit_code_1(
    tmp_path: Path, gain: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conclude(made(tmp_path, gain), tmp_path) == 1
    shown = capsys.readouterr().out
    assert "FAILS" in shown and "not > 0" in shown
    assert "FAILS" in (tmp_path / "report.md").read_text()


def test_one_seed_and_missing_jobs_do_not_hold(tmp_path: Path) -> None:
    assert conclude(made(tmp_path / "one", 0.1, seeds=1), tmp_path / "one") == 1
    assert "not tested, one seed" in (tmp_path / "one" / "report.md").read_text()
    planned = made(tmp_path / "two", 0.1)
    (planned.jobs[0].directory / MARK).unlink()
    assert conclude(planned, tmp_path / "two") == 1
    assert "1 job missing" in (tmp_path / "two" / "report.md").read_text()


def test_damaged_results_are_a_message(tmp_path: Path) -> None:
    planned = made(tmp_path, 0.1)
    (planned.jobs[0].directory / "results.json").write_text("{}")
    findings = record.judged(planned, tmp_path)
    assert isinstance(findings[5], str) and "among its results" in findings[5]
    assert record.verdict(findings[5], 0) == record.MISSING


def test_a_check_needs_something_to_hold() -> None:
    """Each test has a verdict of its own; of a claim that compares nothing there is none."""
    assert Check("a", "b", ()).verdict == MISSING
    assert Check("a", "b", (), exact=(("c", True),)).verdict == HOLDS
    test = greater(Sample({0: 1.0, 1: 1.0}), Sample({0: 0.0, 1: 0.0}))
    one = Check("a", "b", (("d", test),), exact=(("c", False),))
    assert one.verdict == FAILS and [verdict for verdict, _ in one.words] == [HOLDS, FAILS]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], held: Any) -> None:
    assert run(["reproduce", "6", "--list", "--seeds", "1", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12 and all("gradient_norm" in x for x in lines)
    assert not list(tmp_path.iterdir()), "a list writes nothing"
    for bad, words in ((["0"], "experiment: found '0'"), (["--seeds", "0"], "--seeds: found 0"),
                       (["--workers", "0"], "--workers: found 0")):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            run(["reproduce", *bad])
    with pytest.raises(UsageError, match="found --quick and --full; allowed: one of them"):
        run(["reproduce", "--quick", "--full"])
    with held(tmp_path), pytest.raises(LipsortError, match="works in this"):
        run(["reproduce", "6", "--out", str(tmp_path)])


def test_a_page_is_written_from_kept_results(tmp_path: Path) -> None:
    """By the run itself, and again by anyone: the same bytes, in the order of experiments."""
    conclude(made(tmp_path, 0.1), tmp_path)
    kept = tmp_path / "kept"
    one = json.loads((kept / "robustness_l2.json").read_text())
    assert one["number"] == 5 and len(one["checks"]) == 2 and one["mode"] == "quick"
    assert (kept / "text.md").write_text("## Differences from the paper\n\nSome.\n")
    (kept / "theory.json").write_text(json.dumps({**one, "number": 4, "title": "Another"}))
    assert run(["reproduce", "--page", str(kept)]) == 0
    text = (tmp_path / "kept.md").read_text()
    places = [text.index(w) for w in ("| 4. Another |", "| 5. ", "Differences", "## 4.", "## 5.")]
    assert places == sorted(places)
    for words in (
        "holds: certified at 0.3",
        "54.46",
        "kept/robustness_l2-2.png",
        "What was tested",
    ):
        assert words in text, words
    (kept / "theory.json").write_text("{}")
    with pytest.raises(LipsortError, match="theory.json: found no results"):
        run(["reproduce", "--page", str(kept)])
    with pytest.raises(UsageError, match="found no results"):
        run(["reproduce", "--page", str(tmp_path / "jobs")])


def test_absent_data_leave_out_what_needs_them_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The generator of 8 is trained on CIFAR-10: its jobs and its critics' are left out, with why;
    what was not measured neither holds nor fails."""
    loaded: list[str] = []

    def load(data: DownloadedData) -> None:
        loaded.append(data.name)
        if data.name == "cifar10":
            raise LipsortError("CIFAR10 is not here; set data.root")

    def do(jobs: list[Job], workers: int, told: object) -> dict[Path, object]:
        names = {"paper/wgan", "paper/wgan_others", "ours/wgan"}
        assert {job.preset for job in jobs} == names | {f"{name}:time" for name in names}
        return {}

    monkeypatch.setattr("lipsort_cli.data.load", load)
    monkeypatch.setattr("lipsort_cli.reproduction.pool.run", do)
    assert run(["reproduce", "8", "--seeds", "2", "--out", str(tmp_path)]) == 1
    assert sorted(loaded) == ["cifar10", "mnist"], "each data set is tried once"
    captured = capsys.readouterr()
    shown = " ".join((captured.err + captured.out).split())
    assert "32 jobs, 0 of them finished earlier" in shown
    assert "16 jobs are left out: CIFAR10 is not here; set data.root" in shown
    assert "1 experiment: 0 hold, 0 fail, 1 not measured; 16 jobs failed" in shown
    assert "set data.root" in (tmp_path / "report.md").read_text()


def test_labels_tell_arms_apart_in_few_words() -> None:
    """Neither the words that all presets begin with nor whose arm it is where there is one side."""
    arms = [
        Arm(
            f"{side}/robustness_linf{rest}", (("activation", "relu"), ("model.lipschitz", "10")), ()
        )
        for side, rest in (("paper", ""), ("paper", "_pgd"), ("ours", "_l2"))
    ]
    words = "relu, lipschitz 10"
    assert labels(arms) == [words, f"pgd, {words}", f"ours: l2, {words}"]
    assert labels(arms[2:]) == [words] and labels([]) == []
    arms = [Arm(f"paper/classification_{c}", (("constraint", c),), ()) for c in ("linf", "bjorck")]
    assert labels(arms) == ["linf", "bjorck"]
