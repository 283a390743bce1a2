"""Ctrl-C and SIGTERM, in a process of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import find
from lipsort_cli.errors import Interrupted
from lipsort_cli.files import read_json

_SLEEPER = """
import sys, time, types
from lipsort_cli.runs import RunRecord
module = types.ModuleType("lipsort_cli.commands.train")
def run(config, directory):
    with RunRecord.recording(directory, "train"):
        print("running", flush=True)
        time.sleep(60)
module.run = run
sys.modules["lipsort_cli.commands.train"] = module
from lipsort_cli.app import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_exits_130_and_can_be_resumed(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEPER, "train", "hydra.run.dir=run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, ignore Ctrl-C: these tests may be one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "Run directory: run\n"
        while (line := process.stdout.readline()) != "running\n":
            assert line, "it ended"
        time.sleep(0.1)
        process.send_signal(number)
        _, message = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert message.startswith("lipsort: interrupted at once; continue from the last")
    assert message.endswith("`lipsort train resume=run`\n")
    assert read_json(tmp_path / "run/run.json")["status"] == "interrupted"


@pytest.mark.parametrize(
    ("name", "last", "overrides"),
    [
        ("train", "_draw", ["data=digits", "model.widths=[8]", "training.epochs=1",
                            "evaluation.attack.points=0"]),
        ("estimate-wasserstein", "draw_all", ["model.widths=[8]", "training.steps=2",
                                              "evaluation.points=20",
                                              "evaluation.confidence_points=30"]),
        ("wgan", "draw_training", ["critic.widths=[8]", "generator.widths=[8]",
                                   "training.steps=2", "training.frames=1",
                                   "evaluation.critic_steps=0", "evaluation.transport_points=0"]),
    ],
)  # fmt: skip
def test_a_run_stopped_before_its_pictures_is_gone_on_with(
    name: str, last: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lipsort_cli.gan.evaluation.features._STEPS", 3)
    command = find(name)
    assert command is not None
    with monkeypatch.context() as patched:
        patched.setattr(f"{command.module}.{last}", stop)
        with pytest.raises(Interrupted, match=f"`lipsort {name} resume=run`"):
            launch(command, [*overrides, "threads=1", "hydra.run.dir=run"])
    assert read_json(tmp_path / "run/run.json")["status"] == "interrupted"
    launch(command, ["resume=run"])
    assert read_json(tmp_path / "run/run.json")["status"] == "finished"
    assert list((tmp_path / "run/figures").glob("*.png"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_torch_is_being_loaded_is_not_lost(tmp_path: Path, number: int) -> None:
    # What torch's own code may do of numpy: an interrupted import is swallowed, half of it stays.
    script = f"""
import os, sys
class Sent:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            try:
                os.kill(os.getpid(), {int(number)})
            except KeyboardInterrupt:
                pass
sys.meta_path.insert(0, Sent())
from lipsort_cli.app import main
main()
"""
    found = subprocess.run(
        [sys.executable, "-c", script, "train", "training.epochs=1", "threads=1"],
        cwd=tmp_path, capture_output=True, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (130, "lipsort: interrupted\n")


@pytest.mark.parametrize("module", ["rich.console", "lipsort_cli.console", "lipsort_cli.cli.plain"])
def test_ctrl_c_while_the_command_is_being_loaded_leaves_no_traceback(
    module: str, tmp_path: Path
) -> None:
    script = f"""
import sys
class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
from lipsort_cli.app import main
main()
"""
    found = subprocess.run(
        [sys.executable, "-c", script, "zoo"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (found.returncode, found.stderr) == (130, "lipsort: interrupted\n")
