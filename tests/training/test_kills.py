"""Runs killed at random moments end as if nobody had touched them: benchmarks/kills.py, briefly."""

from __future__ import annotations

import re

import kills
import pytest


@pytest.mark.parametrize(
    "tasks",
    # A killed classifier is in test_runs.py too, so that the quick suite has all but the judge.
    [["critic", "gan"], pytest.param(["classifier", "judge"], marks=pytest.mark.slow)],
)
def test_a_run_of_every_task_survives_a_kill(
    tasks: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ended = kills.main(["--kills", "2", "--seed", "1", "--task", *tasks])
    shown = capsys.readouterr().out
    assert ended == 0, shown
    # A moment that is drawn may come after a fast run's end: then another run is begun.
    assert len(re.findall(r": 1 kills of \d+ runs; 0 differ", shown)) == 2, shown
