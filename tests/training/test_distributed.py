"""One training on several processes: the same weights as one process' with the whole batch."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fuzz
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from safetensors.numpy import load_file

from lipsort_cli.cli import workers
from lipsort_cli.cli.launch import launch
from lipsort_cli.config.schema import find
from lipsort_cli.console import console, errors
from lipsort_cli.errors import UsageError
from lipsort_cli.processes import Place, place
from lipsort_cli.training import device
from lipsort_cli.training.device import cuda_number, job_number, resolve_device
from lipsort_cli.training.distributed import Team

# A batch of an odd number of examples is cut unevenly, and so is the last batch of an epoch.
SMALL = [
    "model.widths=[16,16]",
    "augmentation.shift=1",
    "training.epochs=2",
    "training.batch_size=101",
    "training.precision=float32",
    "training.log_every=4",
    "evaluation.attack.points=0",
    "device=cpu",
    "threads=1",
]
# Directions of optimizer=stiefel are rounded to bfloat16, which a last bit of a sum may turn.
SMOOTH = ["constraint=bjorck", "optimizer=sgd"]
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "MASTER_ADDR": "x",
            "MASTER_PORT": "1"}  # fmt: skip


def torchrun(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "lipsort_cli", "train", *overrides],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )  # fmt: skip


def whole(folder: Path, *overrides: str) -> str:
    process = torchrun(folder, *overrides)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    return output


def both(folder: Path, *arguments: str) -> str:
    """The same by two processes that know of each other what torchrun would have told them."""
    fuzz.warm()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    endings = [
        fuzz.begun(arguments, folder, {**common, "RANK": rank, "LOCAL_RANK": rank}, wall=180)
        for rank in "01"
    ]
    leader, other = (ending() for ending in endings)
    assert leader.code == other.code == 0, leader.err + other.err
    return leader.out + other.out


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = whole(tmp_path, *SMALL, *SMOOTH, "hydra.run.dir=two")
    assert output.count("Results: ") == 1  # one voice
    assert "finished already" in whole(tmp_path, "resume=two")
    monkeypatch.chdir(tmp_path)
    command = find("train")
    assert command is not None
    launch(command, [*SMALL, *SMOOTH, "hydra.run.dir=one"])
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(np.abs(one[key] - two[key]).max() < 1e-6 for key in one)
    lines = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert len(lines[0]) == len(lines[1])
    for first, second in zip(*lines, strict=True):
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert second[key] == (
                value if isinstance(value, str) else pytest.approx(value, abs=3e-3 * abs(value))
            )
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()].count("outputs") == 0


CRITIC = ["distribution=cone", "distribution.dim=8", "model.widths=[16,16]", "training.steps=20",
          "training.batch_size=33", "training.check_every=10", "training.check_points=50",
          "evaluation.points=30", "evaluation.confidence_points=30", "optimizer.lr=0.01",
          *SMOOTH]  # fmt: skip
GAN = ["critic=gp", "critic.penalty=1e-6", "critic.widths=[16]", "generator.widths=[16]",
       "training.steps=10", "generator.normalisation=none", "training.batch_size=33",
       "training.precision=float32", "training.frames=1", "training.log_every=5",
       "evaluation.critic_steps=0", "evaluation.transport_points=0"]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "overrides", "weights"),
    [("estimate-wasserstein", CRITIC, ["model"]), ("wgan", GAN, ["generator", "critic"])],
)
def test_critics_and_gans_are_shared_too(
    command: str,
    overrides: list[str],
    weights: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The judge's classifier, which is shared like any other, has tests of its own.
    monkeypatch.setattr("lipsort_cli.gan.evaluation.features._STEPS", 30)
    given = [*overrides, "device=cpu", "threads=1"]
    output = both(tmp_path, command, *given, "hydra.run.dir=two")
    assert output.count("Results: ") == 1
    # Once more: nobody waits for a leader who has nothing to do.
    assert "finished already" in both(tmp_path, command, "resume=two")
    monkeypatch.chdir(tmp_path)
    entry = find(command)
    assert entry is not None
    launch(entry, [*given, "hydra.run.dir=one"])
    for name in weights:
        one, two = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("one", "two"))
        assert all(np.abs(one[key] - two[key]).max() < 1e-3 for key in one), name
    for first, second in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        for key, value in first.items():
            # Weights differ by up to 1e-3; the points of a penalty are drawn anew in every process.
            rel = 0.2 if key == "penalty" else 1e-2
            near = value if isinstance(value, str) else pytest.approx(value, rel=rel, abs=1e-3)
            assert second[key] == near, key


@pytest.mark.slow
def test_interrupted_and_resumed_by_two_processes_gives_the_same_weights(tmp_path: Path) -> None:
    overrides = [*SMALL, "model.dropout=0.2", "training.epochs=20", "training.checkpoint_seconds=0"]
    whole(tmp_path, *overrides, "hydra.run.dir=whole")
    process = torchrun(tmp_path, *overrides, "hydra.run.dir=part")
    deadline = time.monotonic() + 120
    log = tmp_path / "part" / "metrics.jsonl"
    while not (log.exists() and len(log.read_text().splitlines()) > 4):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    # As a terminal does: to torchrun and to both workers; torchrun then sends SIGTERM on top.
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    record = json.loads((tmp_path / "part" / "run.json").read_text())
    assert record["status"] == "interrupted", output
    whole(tmp_path, "resume=part")
    first, second = (tmp_path / name / "model.safetensors" for name in ("whole", "part"))
    assert first.read_bytes() == second.read_bytes()
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "part")


# --- shards and places ----------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 9))
def test_shards_cover_a_batch_once(count: int, size: int) -> None:
    rows: list[int] = []
    shares = 0.0
    for rank in range(size):
        part, share = Team(Place(rank, size)).shard(count)
        found = list(range(count)[part])
        assert found
        if share:
            rows += found
            assert share == len(found) / count
        shares += share
    assert rows == list(range(count))
    assert shares == pytest.approx(1)


def test_alone_nothing_changes() -> None:
    team = Team()
    assert team.leads and team.shard(7) == (slice(0, 7), 1.0)
    assert team.total([1, 2.5]) == [1, 2.5]
    assert team.agree(True, False) == [True, False]
    assert team.gathered("x") == ["x"] and team.told("y") == "y"
    team.leave()


def test_place_is_read_from_torchrun_only() -> None:
    assert place({}) == Place()
    assert place(TORCHRUN) == Place(1, 4, 0)
    for key, value in (("WORLD_SIZE", "1"), ("RANK", "x"), ("RANK", "9"), ("LOCAL_RANK", "-1")):
        assert place({**TORCHRUN, key: value}) == Place()
    for key in TORCHRUN:
        assert place({k: v for k, v in TORCHRUN.items() if k != key}) == Place()


def test_cuda_devices_are_shared_out() -> None:
    assert cuda_number(4, Place(), None) == 0
    assert [cuda_number(3, Place(), job) for job in range(5)] == [0, 1, 2, 0, 1]
    assert [cuda_number(2, Place(r, 4, r % 2), None) for r in range(4)] == [0, 1, 0, 1]
    # Torchrun's processes count, not the job: there is one run only.
    assert cuda_number(2, Place(1, 2, 1), 6) == 1
    with pytest.raises(ValueError, match="2 devices"):
        cuda_number(2, Place(2, 3, 2), None)


def test_auto_takes_the_job_s_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr(device, "job_number", lambda: 3)
    assert str(resolve_device("auto")) == "cuda:1"
    assert str(resolve_device("cuda:0")) == "cuda:0"
    for key, value in {**TORCHRUN, "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UsageError, match="start one process a device"):
        resolve_device("auto")


@pytest.mark.parametrize("mode, wanted", [("MULTIRUN", 5), ("RUN", None)])
def test_job_number_is_hydras(
    mode: str, wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    config = OmegaConf.create({"hydra": {"mode": RunMode[mode], "job": {"num": 5}}})
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    assert job_number() == wanted


# --- what torchrun is not for -------------------------------------------------------------------


def test_one_run_of_training_only() -> None:
    train, certify = find("train"), find("certify")
    assert train is not None and certify is not None
    workers.check(train, False, Place(1, 2, 1))
    workers.check(certify, True, Place())
    with pytest.raises(UsageError, match="runs in one"):
        workers.check(certify, False, Place(0, 2, 0))
    with pytest.raises(UsageError, match="-m"):
        workers.check(train, True, Place(0, 2, 0))


def test_others_work_apart_and_speak_only_of_what_they_alone_know() -> None:
    state = console.quiet, errors.quiet
    try:
        with workers.apart(Place(0, 2)) as folder:
            assert folder is None and not console.quiet
        with pytest.raises(UsageError), workers.apart(Place(1, 2)) as folder:
            assert folder is not None and folder.is_dir() and console.quiet
            raise UsageError("the leader says the same")
        assert errors.quiet and not folder.exists()
        with pytest.raises(RuntimeError), workers.apart(Place(1, 2)):
            raise RuntimeError("out of memory")
        assert not errors.quiet
    finally:
        console.quiet, errors.quiet = state
