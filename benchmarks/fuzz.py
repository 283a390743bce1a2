"""Drives every command with random options and damaged files; anything but an answer is a defect.

    python benchmarks/fuzz.py --tries 5000 --seed 0      (about 40 minutes on one core)
    python benchmarks/fuzz.py --only 0:123               (one of them again, with all it prints)

Each try is one command line in a process of its own, forked from one that has everything imported.
A defect is a traceback, a process killed by a signal, more than a minute of processor time or 1.5
GiB of memory, an exit code that the fault does not have, or a `report` that ends because of one
damaged run. Exit code 1 if there was any.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from damage import damage
from forked import MEMORY, PIXEL, Outcome, attempt, begun, empty_pictures, nothing, together, warm

__all__ = ["PIXEL", "Outcome", "attempt", "begun", "damage", "nothing", "together", "warm"]

_BATCH = 25
OK, FAILED, USAGE, UNSUPPORTED = 0, 1, 2, 3


# --- what is tried ------------------------------------------------------------------------------


@dataclass
class Try:
    """A command line, what was done before it, and the exit codes that are right."""

    arguments: list[str]
    allowed: tuple[int, ...]
    story: str
    environment: dict[str, str] = field(default_factory=dict)
    quick: bool = True
    """Whether options are set in a configuration composed before, and pictures left empty."""


TINY = {
    "train": ["data=toy", "data.points=60", "model.widths=[4]", "training.epochs=1",
              "evaluation.attack.steps=1", "evaluation.attack.restarts=1"],
    "estimate-wasserstein": ["distribution=cone", "distribution.dim=2", "model.widths=[4]",
                             "training.steps=2", "evaluation.points=20",
                             "evaluation.confidence_points=20", "evaluation.transport_points=20"],
    "wgan": ["data=toy", "data.points=60", "generator=mlp", "generator.widths=[4]",
             "critic.widths=[4]", "training.steps=2", "training.frames=1",
             "training.batch_size=8", "evaluation.samples=20", "evaluation.critic_steps=1",
             "evaluation.transport_points=20"],
}  # fmt: skip
ON_RUNS = {
    "certify": [], "attack": ["steps=1", "restarts=1", "points=5"], "inspect": ["points=5"],
    "export": ["formats=[safetensors]", "points=5"],
}  # fmt: skip


class Workshop:
    """Sound runs and files, made once; every try damages a copy."""

    def __init__(self, folder: Path) -> None:
        self.sound = folder / "sound"
        self.tries = folder / "tries"
        for path in (self.sound, self.tries):
            path.mkdir()
        self.composed: dict[tuple[str, tuple[str, ...]], Any] = {}
        (folder / "no-data").mkdir()
        os.environ["LIPSORT_DATA"] = str(folder / "no-data")
        for command, options in TINY.items():
            self._must(command, *options, f"hydra.run.dir={command}")
        self._files()
        for command, extra in ON_RUNS.items():
            self._must(command, "train", *extra)
        self._must("report", "train", "hydra.run.dir=out")
        for name in ("p.npy", "p.csv", "p"):
            self._must("estimate-wasserstein", *TINY["estimate-wasserstein"][2:],
                       "distribution=files", f"distribution.p={name}", f"distribution.q={name}",
                       f"hydra.run.dir=of-{name}")  # fmt: skip

    def _must(self, *arguments: str) -> None:
        """Run a command in this very process: whatever it imports late, forks have then."""
        from lipsort_cli.cli.launch import launch
        from lipsort_cli.config.schema import find

        command = find(arguments[0])
        assert command is not None
        with contextlib.chdir(self.sound), contextlib.redirect_stdout(io.StringIO()):
            launch(command, list(arguments[1:]))

    def _files(self) -> None:
        import numpy as np
        from PIL import Image

        r = np.random.default_rng(0)
        for name in "pq":
            rows = r.normal(size=(30, 2))
            np.save(self.sound / f"{name}.npy", rows)
            np.savetxt(self.sound / f"{name}.csv", rows, delimiter=",", header="x,y", comments="")
            np.savez(self.sound / f"{name}.npz", rows)
            (self.sound / name).mkdir()
            for i in range(6):
                pixels = r.integers(0, 255, (6, 6)).astype("u1")
                Image.fromarray(pixels).save(self.sound / name / f"{i}.png")
        x, y = r.random((60, 6, 6)).astype("f4"), np.arange(60) % 3
        np.savez(self.sound / "set.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:],
                 y_test=y[40:])  # fmt: skip
        for label in "ab":
            (self.sound / "images" / label).mkdir(parents=True)
            for i in range(8):
                pixels = r.integers(0, 255, (6, 6)).astype("u1")
                Image.fromarray(pixels).save(self.sound / "images" / label / f"{i}.png")

    def shorten(self, arguments: Sequence[str]) -> Callable[[], None]:
        """What makes a child process quick: composing and drawing take most of the time.

        The options of a command line are set in a configuration that was composed before.
        """
        import yaml
        from omegaconf import OmegaConf

        from lipsort_cli.cli import launch
        from lipsort_cli.config.compose import Composer
        from lipsort_cli.config.schema import GROUPS, find

        command = find(arguments[0])
        if command is None:
            return lambda: None
        groups = tuple(text for text in arguments if text.partition("=")[0] in GROUPS)
        if (command.name, groups) not in self.composed:
            given = ["run=x"] if command.takes else ["runs=[x]"] if command.many else []
            with Composer(command.name) as composer:
                self.composed[command.name, groups] = composer.compose([*given, *groups])
        composed = self.composed[command.name, groups]

        def check(command: Any, options: Any, overrides: list[str]) -> Any:
            config = copy.deepcopy(composed)
            for text in overrides:
                key, _, value = text.partition("=")
                if text not in groups:
                    OmegaConf.update(config, key, yaml.safe_load(value))
            return config

        def before() -> None:
            launch._check = check
            empty_pictures()

        return before

    def copy(self, name: str, to: Path) -> Path:
        """A copy of something sound."""
        source, target = self.sound / name, to / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        return target


JUNK = (
    "nonsense=1",
    "+training.epochs=1",
    "~seed",
    "a b",
    "=",
    "seed=[1,",
    "seed=1,2",
    "--config-name=x",
    "-m",
    "model=",
    "\udcff=1",
    "--nonsense",
    "'",
    "a=$(b",
    "seed=\x1b[2J",
)

Maker = Callable[[random.Random, Workshop, Path], Try]


def options(r: random.Random, shop: Workshop, here: Path) -> Try:
    """A small run with one to three options of the schema, sound or not."""
    from lipsort_cli.config import catalog
    from lipsort_cli.config.schema import GROUPS

    command = r.choice(list(TINY))
    groups = catalog.chosen_options(command, TINY[command])
    given, wrong = [], False
    for _ in range(r.randint(1, 3)):
        if r.random() < 0.25:
            group = r.choice([g for g in groups if g in GROUPS])
            given.append(f"{group}={r.choice(catalog.group_options(group, command))}")
            continue
        pool = list(catalog.plain_keys(command))
        for group, option in groups.items():
            pool += catalog.option_keys(group, option)
        key = r.choice([k for k in pool if not _endless(k.name)])
        text, sound = _value(r, key)
        given.append(f"{key.name}={text}")
        wrong = wrong or not sound
    if r.random() < 0.1:
        given.append(r.choice(JUNK))
    allowed = (USAGE,) if wrong else (OK, FAILED, USAGE)
    return Try([command, *TINY[command], *given], allowed, "options", quick=False)


def _endless(name: str) -> bool:
    """Options whose sound values may ask for hours, the network or another machine."""
    last = name.rpartition(".")[2]
    return last in ("download", "root", "device", "resume", "seconds", "steps", "epochs", "threads",
                    "tensorboard", "classifier", "critic_steps")  # fmt: skip


def _value(r: random.Random, key: Any) -> tuple[str, bool]:
    """A value as text, and whether it may be right."""
    data = key.field.metadata
    low = data.get("minimum")
    if r.random() < 0.3 and key.kind in (int, float):
        bad = ["abc", "[1]", "{a: 1}", "nan", "1e999", "''"]
        bad += [str(low - 1)] if low is not None else []
        return r.choice(bad), False
    if key.values:
        return r.choice(key.values), True
    if key.kind is int:
        return str(int(low or data.get("above") or 0) + r.randint(1, 3)), True
    if key.kind is float:
        return repr(r.choice([0.0, 0.5, 1.0, 1e-300, 1e300, -0.5, 0.1])), True
    if "list" in str(key.kind):
        return r.choice(["[]", "[1]", "[2,2]", "[0.5,1]", "[-1]", "[x]", "3", "null"]), True
    return r.choice(["x", "null", "''", "/nonexistent/y", "a\\=b", "1", "true", "[1]"]), True


def runs(r: random.Random, shop: Workshop, here: Path) -> Try:
    """A run with one damaged file, under each command that opens it."""
    kind = r.choice(list(TINY))
    run = shop.copy(kind, here)
    names = [p for p in sorted(run.rglob("*")) if p.is_file() and p.suffix not in (".png", ".gif")]
    story = damage(r, r.choice(names))
    codes: tuple[int, ...] = (OK, FAILED, USAGE)
    choices: list[tuple[list[str], tuple[int, ...]]] = [
        (["report", kind, "other", "pictures=false", "hydra.run.dir=out"], (OK,)),
        (["inspect", kind, "points=5"], codes),
    ]
    if kind == "train":
        choices += [([c, kind, *o], codes) for c, o in ON_RUNS.items()]
        choices += [(["generalisation", kind], codes)]
        choices += [(["verify", f"{kind}/certificate.json"], (*codes, UNSUPPORTED))] * 2
    if kind == "wgan":
        choices += [(["estimate-wasserstein", *TINY["estimate-wasserstein"][2:],
                      "distribution=generator", f"distribution.run={kind}"], codes)]  # fmt: skip
    if kind == "estimate-wasserstein":
        choices += [(["verify", f"{kind}/certificate.json"], (*codes, UNSUPPORTED))]
    arguments, allowed = r.choice(choices)
    if arguments[0] == "report":
        shutil.copytree(shop.sound / r.choice(list(TINY)), here / "other")
    return Try(arguments, allowed, story)


def resumed(r: random.Random, shop: Workshop, here: Path) -> Try:
    """An interrupted run with a damaged checkpoint, log or record, gone on with."""
    kind = r.choice(list(TINY))
    run = shop.copy(kind, here)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    with contextlib.suppress(OSError):
        (run / "results.json").unlink()
    state = run / "checkpoint" / "state.pt"
    names = [state] * 4 + [run / n for n in ("run.json", "metrics.jsonl", ".hydra/config.yaml")]
    story = damage(r, r.choice([n for n in names if n.exists()]))
    return Try([kind, f"resume={kind}"], (OK, FAILED, USAGE), story)


def data(r: random.Random, shop: Workshop, here: Path) -> Try:
    """A damaged data file, read by the command that takes it."""
    name = r.choice(["p.npy", "p.npz", "p.csv", "p", "set.npz", "images"])
    path = shop.copy(name, here)
    file = path if path.is_file() else r.choice([p for p in path.rglob("*") if p.is_file()])
    story = damage(r, file)
    codes = (OK, FAILED, USAGE)
    if name == "set.npz":
        return Try(["train", *TINY["train"][2:], "data=npz", "data.path=set.npz"], codes, story)
    if name == "images":
        return Try(["train", *TINY["train"][2:], "data=folder", "data.path=images"], codes, story)
    if r.random() < 0.3:
        shop.copy("train", here)
        return Try(["predict", "train", name], codes, story)
    shop.copy(f"q{path.suffix}", here)
    arguments = ["estimate-wasserstein", *TINY["estimate-wasserstein"][2:], "distribution=files",
                 f"distribution.p={name}", f"distribution.q=q{path.suffix}"]  # fmt: skip
    return Try(arguments, codes, story)


def surroundings(r: random.Random, shop: Workshop, here: Path) -> Try:
    """A sound command in an unusual environment."""
    shop.copy("train", here)
    arguments = r.choice([["certify", "train"], ["report", "train"], ["zoo"],
                          ["train", *TINY["train"]],
                          ["verify", "train/certificate.json"]])  # fmt: skip
    name, value = r.choice([
        ("PYTHONIOENCODING", r.choice(["ascii", "latin-1", "cp1252", "utf-16"])),
        ("COLUMNS", r.choice(["0", "-1", "x", "1", "99999999999"])), ("HOME", "/nonexistent"),
        ("MPLCONFIGDIR", "/proc/x"), ("MPLBACKEND", "nonsense"), ("TERM", "\x1b"),
        ("LIPSORT_DATA", r.choice(["/proc", "\x01", "a" * 5000])), ("TMPDIR", "/nonexistent"),
        ("RANK", "x"), ("WORLD_SIZE", "-1"), ("HYDRA_FULL_ERROR", "x"), ("LANG", "xx_YY"),
        ("OMP_NUM_THREADS", r.choice(["0", "x", "-1"])), ("LIPSORT_DEBUG", "0"),
        ("FORCE_COLOR", "1"), ("PYTHONWARNINGS", "always"), ("XDG_CACHE_HOME", "/proc/y"),
    ])  # fmt: skip
    return Try(arguments, (OK,), f"{name}={value!r}", {name: value}, quick=False)


MAKERS: dict[Maker, int] = {options: 4, runs: 14, resumed: 5, data: 15, surroundings: 2}
"""What is tried, and how often."""


# --- the judge ----------------------------------------------------------------------------------


def verdict(tried: Try, outcome: Outcome) -> str | None:
    """What is wrong with an outcome; None where it is an answer."""
    if "Traceback (most recent call last)" in outcome.err + outcome.out:
        last = (outcome.err.strip() or outcome.out.strip()).splitlines()[-1]
        return f"traceback: {last[:200]}"
    if outcome.code < 0:
        return f"ended by {signal.Signals(-outcome.code).name}"
    if outcome.code not in tried.allowed:
        return f"exit code {outcome.code}, allowed {tried.allowed}"
    if outcome.code in (FAILED, USAGE) and not (outcome.err + outcome.out).strip():
        return "no word of why"
    if outcome.megabytes > MEMORY / 2**20:
        return f"{outcome.megabytes:.0f} MiB"
    return None


Planned = tuple[Try, Path, Callable[[], None]]


def plan(seed: int, index: int, shop: Workshop) -> Planned:
    """Try number ``index``, its folder, and what is done before it in its process."""
    r = random.Random(f"{seed}:{index}")
    here = shop.tries / str(index)
    here.mkdir()
    maker = r.choices(list(MAKERS), list(MAKERS.values()))[0]
    tried = maker(r, shop, here)
    before = empty_pictures
    if tried.quick and r.random() < 0.95:
        before = shop.shorten(tried.arguments)
    if r.random() < 0.02:
        before = nothing
    return tried, here, before


def carry_out(planned: Sequence[Planned]) -> Iterator[tuple[Try, Outcome]]:
    """The tries with their outcomes; those in an environment of their own in their own process."""
    shared = [one for one in planned if not one[0].environment]
    outcomes = together([(tried.arguments, here, before) for tried, here, before in shared])
    yield from zip((tried for tried, _, _ in shared), outcomes, strict=True)
    for tried, here, before in planned:
        if tried.environment:
            yield (
                tried,
                attempt(tried.arguments, here, environment=tried.environment, before=before),
            )


def explore(shop: Workshop, seed: int, tries: int, seconds: float) -> tuple[int, Counter[str]]:
    """Try and judge for so long, and say what was found: how many tries, and defects by kind."""
    began = time.monotonic()
    codes: Counter[int] = Counter()
    found: Counter[str] = Counter()
    slowest = 0.0
    for first in range(0, tries, _BATCH):
        if first and time.monotonic() - began > seconds:
            break
        numbers = range(first, min(first + _BATCH, tries))
        planned = [plan(seed, index, shop) for index in numbers]
        names = {id(tried): index for index, (tried, _, _) in zip(numbers, planned, strict=True)}
        for tried, outcome in carry_out(planned):
            codes[outcome.code] += 1
            slowest = max(slowest, outcome.seconds)
            wrong = verdict(tried, outcome)
            if wrong:
                found[wrong.partition(": ")[0]] += 1
                line = " ".join(map(ascii, tried.arguments))
                name = f"{seed}:{names[id(tried)]}"
                print(f"{name} {tried.story} | lipsort {line} | {wrong}", flush=True)
        for _, here, _ in planned:
            shutil.rmtree(here, ignore_errors=True)
    spent = time.monotonic() - began
    print(f"{sum(codes.values())} tries in {spent:.0f} s, slowest {slowest:.1f} s; exit codes "
          f"{dict(sorted(codes.items()))}; defects {dict(found) or 'none'}")  # fmt: skip
    return sum(codes.values()), found


def main() -> int:
    """Try, judge, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="SEED:INDEX", help="one try, with all it prints")
    options = parser.parse_args()
    warm()
    with tempfile.TemporaryDirectory(prefix="lipsort-fuzz-") as folder:
        shop = Workshop(Path(folder))
        if options.only:
            seed, index = map(int, options.only.split(":"))
            ((tried, outcome),) = carry_out([plan(seed, index, shop)])
            print(tried, outcome.out, outcome.err, outcome, verdict(tried, outcome), sep="\n")
            return 0
        _, found = explore(shop, options.seed, options.tries, options.seconds)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
