"""Ctrl-C and SIGTERM, in a process of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
