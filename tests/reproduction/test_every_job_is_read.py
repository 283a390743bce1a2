"""In every size, every job of the plan is looked at by a table or a claim of some experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli.reproduction import outcomes as module
from lipsort_cli.reproduction import record
from lipsort_cli.reproduction.jobs import MARK, Job
from lipsort_cli.reproduction.plan import plan
from lipsort_cli.reproduction.sizes import MODES
from lipsort_cli.reproduction.studies import STUDIES

EPS = ("0.01", "0.03", "0.05", "0.1", "0.2", "0.3", "0.5", "1.0", "1.58")
SHARES = {"eps": dict.fromkeys(EPS, 0.5)}
MEASURES = ("sliced_w1", "kernel_distance", "precision", "recall")
DIAGNOSTICS = {
    "split": "diagnostics", "gradient_kept": 0.9, "jacobian_sigma_max": 1.0,
    "jacobian_sigma_mean": 0.8, "jacobian_sigma_min": 0.5, "gradient_norm.0": 0.8,
    "gradient_norm.1": 0.9, "frequent_units.1": 0.3, "frequent_units.2": 0.4,
}  # fmt: skip
RESULTS = {
    "clean_accuracy": 0.9, "lipschitz_bound": 1.0, "certified_accuracy": SHARES,
    "attacked_accuracy": SHARES, "lower_bound": {"value": 0.7}, "true": 1.0,
    "quality": {"measures": {key: {"generated": {"value": 0.1}} for key in MEASURES}},
    "claims": [
        {"name": "a", "claim": "b", "evidence": evidence, "holds": True, "detail": "c"}
        for evidence in ("proven", "empirical")
    ],
}  # fmt: skip
FILES: dict[str, Any] = {
    "results.json": RESULTS,
    "attack.json": {"attacked_accuracy": SHARES},
    "inspect.json": {
        "input_gradients": {"by_run": [{"smoothness": 0.5, "alignment": 0.5} for _ in range(3)]}
    },
    "generalisation.json": {"gap": 0.1, "bound": {"normalised": 10.0, "value": 100.0}},
    MARK: {"finished": True, "seconds": 1.0, "cpu_seconds": 1.0},
}


def pretend(job: Job) -> None:
    """Files as the job's command writes them."""
    job.directory.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (job.directory / name).write_text(json.dumps(content))
    lines = [{**DIAGNOSTICS, "step": step, "epoch": 0} for step in (0, 10)]
    (job.directory / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


@pytest.mark.parametrize("mode", MODES)
def test_every_job_is_read(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[Path] = set()

    def noting(path: Path) -> Any:
        if path.name != MARK:  # that it has finished is read of every job
            read.add(path.parent)
        return json.loads(path.read_text())

    def lines(outcome: module.Outcome, split: str) -> list[dict[str, Any]]:
        read.add(outcome.directory)
        return found(outcome, split)

    found = module.Outcome.lines
    monkeypatch.setattr(module, "read_json", noting)
    monkeypatch.setattr(module.Outcome, "lines", lines)
    for name in ("dots", "curves"):
        for study in ("expressivity", "classification", "generator", "small_data", "robustness",
                      "gradient_norm"):  # fmt: skip
            where = f"lipsort_cli.reproduction.studies.{study}.{name}"
            monkeypatch.setattr(where, lambda *_, **__: None, raising=False)
    made = plan(list(STUDIES), tmp_path, [0, 1], mode)
    for job in made.jobs:
        pretend(job)
    findings = record.judged(made, tmp_path)
    for study in STUDIES:
        finding = findings[study.number]
        assert not isinstance(finding, str), f"{study.name}: {finding}"
        assert finding.checks and all(check.side and check.claim for check in finding.checks)
        for check in finding.checks:
            assert check.tests or check.exact, f"{study.name}, {check.side}: {check.claim}"
            assert all(test.count == 2 for _, test in check.tests), check.words
    unread = [job.line for job in made.jobs if job.directory not in read]
    assert not unread, unread
    assert sum(len(made.members[study.number]) > 0 for study in STUDIES) == len(STUDIES)
