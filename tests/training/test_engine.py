"""The engine, on a task of four numbers: clock, looks, checkpoints, words, what is refused."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lipsort_cli.console import console
from lipsort_cli.errors import Interrupted, LipsortError
from lipsort_cli.identity import Identity
from lipsort_cli.training import engine
from lipsort_cli.training.checkpoint import load_checkpoint
from lipsort_cli.training.engine import Line, Session, Task
from lipsort_cli.training.progress import TrainingProgress


class Toy(Task):
    """Moves four weights towards random targets; ``pause`` is what a look costs."""

    def __init__(self, total: int = 9, pause: float = 0.0, clip: float | None = None) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(4, 1, bias=False)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1)
        super().__init__([self.network], torch.device("cpu"), total, clip)
        self.pause = pause
        self.calls: list[Any] = []
        self.press: int | None = None
        self.scale = 1.0
        self.every, self.poisoned = 1, -1

    def begin(self) -> None:
        self.calls.append("begin")

    def step(self) -> None:
        if self.at.step == self.press:
            signal.raise_signal(signal.SIGHUP)
        self.calls.append(self.at.step)
        # From torch's own generator, whose state must be kept.
        scale = math.nan if self.at.step == self.poisoned else self.scale
        loss = scale * (self.network.weight - torch.randn(4)).square().sum()
        self.last = float(self.update(loss, self.optimizer, self.network))

    @property
    def due(self) -> bool:
        return self.at.step > 0 and (self.at.step % self.every == 0 or self.finished)

    def look(self) -> Iterator[Line]:
        time.sleep(self.pause)
        if self.at.step:
            yield "train", {"loss": self.last, "unknown": None}

    def words(self) -> str:
        return f"at {self.at.step}" if self.at.step > 2 else ""

    def state(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def session(folder: Path, **changes: Any) -> Session:
    folder.mkdir(exist_ok=True)
    return Session(**{"directory": folder, "command": "train", "threads": 1, **changes})


def weights(task: Toy) -> bytes:
    return task.network.weight.detach().numpy().tobytes()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_from_beginning_to_end(tmp_path: Path) -> None:
    task = Toy()
    assert engine.run(task, session(tmp_path))
    assert task.calls == ["begin", *range(9)]
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, 10))
    assert lines(tmp_path)[0]["unknown"] is None
    # What is finished is neither begun nor stepped again.
    again = Toy()
    engine.run(again, session(tmp_path))
    assert again.calls == [] and weights(again) == weights(task)
    assert len(lines(tmp_path)) == 9


@pytest.mark.parametrize("press", [0, 3, 7])
def test_a_hang_up_leaves_what_can_be_resumed(press: int, tmp_path: Path) -> None:
    whole = Toy()
    engine.run(whole, session(tmp_path / "whole"))
    part = Toy()
    part.press = press
    elsewhere = session(tmp_path / "part", command="wgan", resume=tmp_path / "home")
    with pytest.raises(Interrupted, match=rf"after step {press + 1} of 9; .*`lipsort wgan resume="):
        engine.run(part, elsewhere)
    resumed = Toy()
    torch.manual_seed(99)
    engine.run(resumed, elsewhere)
    assert resumed.calls == list(range(press + 1, 9))
    assert weights(resumed) == weights(whole)
    assert lines(tmp_path / "part") == lines(tmp_path / "whole")


def test_seconds_are_those_of_training_alone(tmp_path: Path) -> None:
    began = time.monotonic()
    task = Toy(pause=0.07)
    engine.run(task, session(tmp_path, checkpoint_seconds=0.0))
    assert time.monotonic() - began > 0.5
    assert 0 < task.at.seconds < 0.25


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    mine = Identity("a" * 64, "b" * 64)
    engine.run(Toy(), session(tmp_path, identity=mine))
    for other, key in (
        (Identity("c" * 64, "b" * 64), "configuration"),
        (Identity("a" * 64), "data"),
    ):
        with pytest.raises(LipsortError, match=f"another run: its {key} has SHA-256"):
            engine.run(Toy(), session(tmp_path, identity=other))

    class Wider(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(5, 1, bias=False)

    with pytest.raises(LipsortError, match="belongs to another run .*; start a new run"):
        engine.run(Wider(), session(tmp_path, identity=mine))


def test_threads_are_those_of_the_first_start(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        engine.run(Toy(), session(tmp_path, threads=0))
        torch.set_num_threads(2)
        engine.run(Toy(), session(tmp_path, threads=0))
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        engine.run(Toy(), session(tmp_path, threads=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_clipping_and_infinite_losses(tmp_path: Path) -> None:
    free, clipped = Toy(1), Toy(1, clip=1e-3)
    start = free.network.weight.detach().clone()
    for name, task in (("free", free), ("clipped", clipped)):
        engine.run(task, session(tmp_path / name))
    assert (free.network.weight - start).norm() > 0.01
    assert float((clipped.network.weight - start).norm()) == pytest.approx(1e-4, rel=1e-3)
    broken = Toy()
    broken.scale = math.inf
    with pytest.raises(LipsortError, match=r"the loss is (inf|nan) at step 0; lower optimizer\.lr"):
        engine.run(broken, session(tmp_path / "broken"))


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
@pytest.mark.parametrize("free", [True, False])
def test_a_loss_is_looked_at_before_anything_of_its_step_is_kept(
    free: bool, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once where reading is free; elsewhere with the next line or checkpoint."""
    monkeypatch.setattr(engine, "reads_freely", lambda _: free)
    task = Toy(12)
    task.every, task.poisoned = 4, 5
    with pytest.raises(LipsortError, match=r"^the loss is nan at step 5; lower optimizer\.lr"):
        engine.run(task, session(tmp_path, checkpoint_seconds=seconds))
    assert task.calls[-1] == (5 if free or not seconds else 7)
    assert bool(task.network.weight.isfinite().all()) == free
    assert [line["step"] for line in lines(tmp_path)] == [4]
    state = load_checkpoint(tmp_path)
    assert (state is None) == (seconds > 0)
    if state is not None:
        assert state["step"] == 5
        assert state["task"]["network"]["weight"].isfinite().all()
    # What it resumes to is where it would have been.
    again = Toy(12)
    engine.run(again, session(tmp_path, checkpoint_seconds=seconds))
    whole = Toy(12)
    engine.run(whole, session(tmp_path / "whole"))
    assert weights(again) == weights(whole)


def test_a_weight_that_overflowed_is_never_kept(tmp_path: Path) -> None:
    """Its loss was finite; the one of the next step, which there may not be, is not."""
    task = Toy(3)
    task.network.weight.register_hook(lambda slope: slope * (math.inf if task.at.step == 2 else 1))
    with pytest.raises(LipsortError, match=r"^a weight is not finite after step 3; lower"):
        engine.run(task, session(tmp_path))
    assert load_checkpoint(tmp_path) is None


def test_losses_are_read_now_and_then_where_nothing_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "reads_freely", lambda _: False)
    monkeypatch.setattr(engine, "UNREAD", 3)
    task = Toy(1000)
    task.every, task.poisoned = 1000, 10
    with pytest.raises(LipsortError, match="at step 10"):
        engine.run(task, session(tmp_path))
    assert task.calls[-1] <= 13


def test_trackers_are_told_what_is_logged(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    engine.run(Toy(), session(tmp_path, trackers=["tensorboard"]))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 10))
    assert events.Tags()["scalars"] == ["train/loss"]


def test_no_figure_is_shown_before_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setattr(
        TrainingProgress, "milestone", lambda _, done, text: told.append((done, text))
    )
    engine.run(Toy(4), session(tmp_path))
    assert told == [(1, ""), (2, ""), (3, "at 3"), (4, "at 4")]
    monkeypatch.undo()
    with TrainingProgress(10, interval=0.0) as progress:
        progress.milestone(5, "")
    assert capsys.readouterr().out.strip() == "step 5/10"
