"""Jobs from presets, their directories, and the processes that do them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lipsort_cli.errors import UsageError
from lipsort_cli.reproduction import jobs as module
from lipsort_cli.reproduction.jobs import MARK, Job, expand, follow_up, single
from lipsort_cli.reproduction.outcomes import Outcomes, at
from lipsort_cli.reproduction.plan import choose, plan
from lipsort_cli.reproduction.pool import run
from lipsort_cli.reproduction.studies import STUDIES


def test_a_preset_becomes_the_product_of_its_sweep(tmp_path: Path) -> None:
    made = expand("paper/gradient_norm", tmp_path, [0, 5], ("threads=1",))
    sets = ("none", "spectral", "parseval", "bjorck_authors")
    arms = {(j.arm["activation"], j.arm["constraint"], j.seed) for j in made}
    assert arms == {(a, k, s) for a in ("maxmin", "relu") for k in sets for s in (0, 5)}
    assert len({job.directory for job in made}) == len(made) == 16
    fewer = expand("paper/gradient_norm", tmp_path, [0], ("constraint=none", "training.epochs=1"))
    assert [job.arm["constraint"] for job in fewer] == ["none"] * 2
    assert all(job.overrides[-1] == "training.epochs=1" for job in fewer)
    assert made[0].overrides[-1] == "threads=1"
    assert made[0].line.startswith("lipsort train experiment=paper/gradient_norm ")
    assert not made[0].finished


def test_directories_change_with_what_determines_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = expand("paper/gradient_norm", tmp_path, [0])[0]
    assert first.directory == expand("paper/gradient_norm", tmp_path, [0, 1])[0].directory
    other = expand("paper/gradient_norm", tmp_path, [0], ("training.epochs=2",))[0]
    assert other.directory != first.directory
    monkeypatch.setattr(module, "__version__", "999")
    assert expand("paper/gradient_norm", tmp_path, [0])[0].directory != first.directory


def test_plans_share_jobs_between_experiments(tmp_path: Path) -> None:
    chosen = choose(STUDIES, ["7", "robustness_l2"])
    assert [study.number for study in chosen] == [5, 7]
    made = plan(chosen, tmp_path, [0], "quick")
    shared = {j.directory for j in made.members[5]} & {j.directory for j in made.members[7]}
    assert len(shared) == 2, "the MaxMin networks of both arms, and none of ReLU"
    assert len(made.jobs) == len({job.directory for job in made.jobs})
    assert choose(STUDIES, []) == list(STUDIES)
    with pytest.raises(UsageError, match=r"found '12'; allowed: 1 \(expressivity\)"):
        choose(STUDIES, ["12"])


def plain(out: Path, name: str, *arguments: str, after: tuple[Job, ...] = ()) -> Job:
    """A job that takes no time: it lists a group of the zoo."""
    job = single("zoo", arguments, name, out)
    return Job(job.command, job.overrides, job.directory, {}, name,
               tuple(j.directory for j in after))  # fmt: skip


def test_workers_do_jobs_in_order_of_need(tmp_path: Path) -> None:
    first = plain(tmp_path, "a", "model")
    second = plain(tmp_path, "b", "loss", after=(first,))
    broken = plain(tmp_path, "c", "nonsense")
    never = plain(tmp_path, "d", "data", after=(broken,))
    homeless = Job("zoo", (), tmp_path / "e", after=(tmp_path / "nowhere",))
    told: list[tuple[str, Any]] = []
    answers = run([second, first, broken, never, homeless], 2,
                  lambda job, answer: told.append((job.preset, answer["status"])))  # fmt: skip
    assert len(told) == len(answers) == 5
    assert told.index(("a", "finished")) < told.index(("b", "finished"))
    assert answers[broken.directory]["status"] == "failed"
    assert "nonsense" in answers[broken.directory]["error"]
    assert "needs failed" in answers[never.directory]["error"]
    assert "gone" in answers[homeless.directory]["error"]
    assert first.finished and second.finished and not broken.finished
    assert "mlp" in (first.directory / "log.txt").read_text()
    assert json.loads((first.directory / MARK).read_text())["overrides"] == ["model"]
    # What has finished is there for the next round, and what needed it can start.
    third = plain(tmp_path, "f", "schedule", after=(first,))
    assert run([third], 1, lambda *_: None)[third.directory]["status"] == "finished"


def test_a_worker_that_dies_takes_one_job_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lipsort_cli.reproduction.pool import Worker

    give = Worker.give

    def give_and_kill(worker: Worker, job: Job) -> None:
        if job.preset == "a":
            worker.process.kill()
            worker.process.wait()
            worker.job = job
        else:
            give(worker, job)

    monkeypatch.setattr(Worker, "give", give_and_kill)
    first, second = plain(tmp_path, "a", "model"), plain(tmp_path, "b", "loss")
    answers = run([first, second], 1, lambda *_: None)
    assert "signal 9" in answers[first.directory]["error"]
    assert answers[second.directory]["status"] == "finished"


def test_outcomes_are_found_by_preset_and_arm(tmp_path: Path) -> None:
    made = expand("paper/full/gradient_norm", tmp_path, [0, 1])
    for index, job in enumerate(made[:3]):
        job.directory.mkdir(parents=True)
        (job.directory / MARK).write_text('{"finished": true}')
        (job.directory / "results.json").write_text(json.dumps({"a": {"0.1": index}}))
    outcomes = Outcomes(made)
    assert len(list(outcomes)) == 3
    name = "paper/gradient_norm"
    arm = {"activation": "maxmin", "constraint": "none"}
    assert outcomes.sample(at("a", "0.1"), name, **arm).by_seed == {0: 0.0, 1: 1.0}
    assert outcomes.sample(at("a", "0.1"), name, activation="relu").by_seed == {}
    assert [len(one.outcomes) for one in outcomes.arms(name)] == [2, 1]
    first = outcomes.arms(name)[0]
    assert (first.side, first.label) == ("as published", "gradient norm, maxmin, none")
    made[3].directory.mkdir(parents=True)
    (made[3].directory / MARK).write_text("{broken")
    assert not made[3].finished
    later = follow_up("attack", ("run=x",), made[:1], tmp_path)
    assert later.after == (made[0].directory,) and later.arm == made[0].arm
