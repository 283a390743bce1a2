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
import base64
import contextlib
import copy
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process with more threads cannot be forked

PROCESSOR_SECONDS, WALL_SECONDS, MEMORY = 60, 300, 3 * 2**29
_BATCH = 25
OK, FAILED, USAGE, UNSUPPORTED = 0, 1, 2, 3
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


# --- one command line in a process of its own ---------------------------------------------------


class Outcome(NamedTuple):
    """How a command line ended; ``code`` is negative where a signal ended it."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float
    """What it needed beyond the process that it was forked from."""
    processor: float = 0.0
    """Seconds of processor time."""


def warm() -> None:
    """Import what commands need, so that a fork has it."""
    import importlib

    import matplotlib.figure  # noqa: F401
    import ot  # noqa: F401
    import scipy.stats  # noqa: F401

    from lipsort_cli.cli import launch, resume  # noqa: F401
    from lipsort_cli.config.schema import COMMANDS

    for command in COMMANDS.values():
        importlib.import_module(command.module)


def _nothing() -> None:
    """Do nothing."""


def attempt(
    arguments: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    stdout: str | int | None = None,
    wall: float = WALL_SECONDS,
    limited: bool = True,
    before: Callable[[], None] = _nothing,
) -> Outcome:
    """Run ``lipsort ARGUMENTS`` in ``folder``; ``stdout``: a path or a descriptor instead.

    ``before``: called in the child process.
    """
    ending = begun(arguments, folder, environment, stdout, wall, limited, before)
    return ending()


def begun(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    stdout: str | int | None = None,
    wall: float = WALL_SECONDS,
    limited: bool = True,
    before: Callable[[], None] = _nothing,
) -> Callable[[], Outcome]:
    """The same, in the background: what waits for its end is returned."""
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    target = out.fileno() if stdout is None else stdout
    began, own = time.monotonic(), _resident()
    child = os.fork()
    if child == 0:
        before()
        _become(arguments, folder, environment or {}, target, err.fileno(), limited)

    def ending() -> Outcome:
        while True:
            pid, status, used = os.wait4(child, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > wall:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.003)
        seconds = time.monotonic() - began
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # whatever it left behind
        texts = []
        for stream in (out, err):
            with stream:
                stream.seek(0)
                texts.append(stream.read().decode("utf-8", "replace"))
        more = used.ru_maxrss / 1024 - own
        spent = used.ru_utime + used.ru_stime
        return Outcome(os.waitstatus_to_exitcode(status), *texts, seconds, more, spent)

    return ending


def _empty_pictures() -> None:
    from matplotlib.figure import Figure

    Figure.savefig = lambda self, file, **_: file.write(PIXEL)


def _become(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    out: str | int,
    err: int,
    limited: bool,
) -> None:
    """Be the command line, in a child process; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        if limited:
            _limit()
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
        descriptor = os.open(out, os.O_WRONLY) if isinstance(out, str) else out
        _stand(folder, environment, descriptor, err)
        code = _call(arguments)
    finally:
        os._exit(code)


def _resident() -> float:
    """Mebibytes that this process holds at the moment."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _stand(folder: Path, environment: Mapping[str, str], out: int, err: int) -> None:
    """Give this process a folder, an environment and streams."""
    os.chdir(folder)
    os.environ.update(environment)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, number)
    os.close(null)
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
    binary = [os.fdopen(number, "wb", closefd=False) for number in (1, 2)]
    sys.stdout = io.TextIOWrapper(binary[0], encoding=encoding)
    sys.stderr = io.TextIOWrapper(
        binary[1], encoding=encoding, errors="backslashreplace", line_buffering=True
    )


def _call(arguments: Sequence[str]) -> int:
    """Run ``lipsort ARGUMENTS`` here; its exit code."""
    from lipsort_cli.app import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [str(Path(sys.executable).with_name("lipsort")), *arguments]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return code


def together(lines: Sequence[tuple[Sequence[str], Path, Callable[[], None]]]) -> Iterator[Outcome]:
    """Run command lines, each in its folder, one after the other in as few processes as survive."""
    start = 0
    while start < len(lines):
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            _answer(lines[start:], theirs)
        os.close(theirs)
        began = time.monotonic()
        with os.fdopen(ours) as answers:
            for line in answers:
                yield Outcome(*json.loads(line))
                start, began = start + 1, time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if start < len(lines):
            yield Outcome(code or -signal.SIGABRT, "", "", time.monotonic() - began, 0.0)
            start += 1


def _answer(lines: Sequence[tuple[Sequence[str], Path, Callable[[], None]]], answers: int) -> None:
    """Run command lines in this child process, and write how each ended; never returns."""
    from lipsort_cli.cli import launch

    try:
        os.setpgid(0, 0)
        _limit()
        own = launch._check
        for arguments, folder, before in lines:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                most, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
                signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS)
                signal.alarm(WALL_SECONDS)
                launch._check = own
                before()
                _stand(folder, {}, out.fileno(), err.fileno())
                code = _call(arguments)
                signal.alarm(0)
                signal.setitimer(signal.ITIMER_PROF, 0)
                texts = []
                for stream in (out, err):
                    stream.seek(0)
                    texts.append(stream.read().decode("utf-8", "replace"))
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most) / 1024
            line = json.dumps([code, *texts, time.monotonic() - began, more]) + "\n"
            with os.fdopen(os.dup(answers), "w") as stream:
                stream.write(line)
    finally:
        os._exit(1)


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
            _empty_pictures()

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


# --- damage -------------------------------------------------------------------------------------

VALUES: list[Any] = [None, True, -1, 0, 1, 1e308, float("nan"), float("inf"), "", "x" * 2000, [],
                     {}, 10**30, -(10**30), "\x1b[2J", -1e-320, [[[]]], "finished", 2**63, "NaN",
                     [None], {"a": 1}, 0.5, "../..", "\ud800"]  # fmt: skip


def damage(r: random.Random, path: Path) -> str:
    """Damage a file in one of many ways; what was done, in words."""
    own = {".json": _json, ".yaml": _yaml, ".pt": _checkpoint, ".npy": _npy, ".npz": _npz,
           ".safetensors": _safetensors, ".jsonl": _jsonl}.get(path.suffix)  # fmt: skip
    way = own if own is not None and r.random() < 0.6 else r.choice([_bytes, _bytes, _place])
    return f"{path.name}: {way(r, path)}"


def _bytes(r: random.Random, path: Path) -> str:
    content = path.read_bytes()
    at = r.randrange(len(content) + 1)
    junk = bytes(r.randrange(256) for _ in range(r.randint(1, 16)))
    ways: dict[str, bytes] = {
        "empty": b"", f"cut at {at}": content[:at], f"without {at} bytes": content[at:],
        f"{junk!r} at {at}": content[:at] + junk + content[at + len(junk):],
        f"{junk!r} inserted at {at}": content[:at] + junk + content[at:],
        "zeros": bytes(len(content)), "twice": content * 2, "noise": r.randbytes(500),
        "100,000 levels": b"[" * 100_000 + b"]" * 100_000, "null byte": b"\0",
        "not UTF-8": b"\xff\xfe\xfd" + content, "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "a zip": b"PK\x03\x04" + r.randbytes(200), "one line": b"x" * 1_000_000,
    }  # fmt: skip
    name = r.choice(list(ways))
    path.write_bytes(ways[name])
    return name


def _place(r: random.Random, path: Path) -> str:
    path.unlink()
    name = r.choice(["missing", "a folder", "a pipe", "a loop", "endless", "huge"])
    if name == "a folder":
        path.mkdir()
    elif name == "a pipe":
        os.mkfifo(path)
    elif name == "a loop":
        path.symlink_to(path)
    elif name == "endless":
        path.symlink_to("/dev/zero")
    elif name == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
    return name


def _mutated(r: random.Random, value: Any, values: Sequence[Any]) -> tuple[Any, str]:
    """``value`` with one node, at any depth, removed or replaced."""
    if isinstance(value, dict) and value and r.random() < 0.9:
        key = r.choice(list(value))
        if r.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}, f"{key} removed"
        new, story = _mutated(r, value[key], values)
        return {**value, key: new}, f"{key}.{story}"
    if isinstance(value, list) and value and r.random() < 0.8:
        at = r.randrange(len(value))
        new, story = _mutated(r, value[at], values)
        return [*value[:at], new, *value[at + 1 :]], f"{at}.{story}"
    new = r.choice(values)
    return new, f"= {str(new)[:60]!r}"


def _json(r: random.Random, path: Path) -> str:
    value, story = _mutated(r, json.loads(path.read_text()), VALUES)
    path.write_text(json.dumps(value), encoding="utf-8", errors="surrogatepass")
    return story


def _jsonl(r: random.Random, path: Path) -> str:
    lines = path.read_text().splitlines()
    at = r.randrange(len(lines))
    value, story = _mutated(r, json.loads(lines[at]), VALUES)
    lines[at] = json.dumps(value)
    path.write_text("\n".join(lines))
    return story


def _yaml(r: random.Random, path: Path) -> str:
    import yaml

    if r.random() < 0.1:
        bomb = "a0: &a0 [x,x]\n"
        bomb += "".join(f"a{i + 1}: &a{i + 1} [*a{i},*a{i},*a{i}]\n" for i in range(30))
        path.write_text(bomb)
        return "aliases"
    value, story = _mutated(r, yaml.safe_load(path.read_text()), [*VALUES, "${a", "???"])
    path.write_text(yaml.safe_dump(value), encoding="utf-8", errors="surrogatepass")
    return story


def _checkpoint(r: random.Random, path: Path) -> str:
    import torch

    from lipsort_cli.training.checkpoint import load_checkpoint, save_checkpoint

    state = load_checkpoint(path.parents[1])
    some = [
        torch.zeros(0),
        torch.full((3,), torch.nan),
        torch.zeros(2, 2, dtype=torch.long),
        torch.zeros(5000, dtype=torch.uint8),
        torch.tensor(1.0),
        torch.zeros(1, dtype=torch.bool),
    ]
    value, story = _mutated(r, state, [*VALUES, *some])
    save_checkpoint(path.parents[1], value)
    return story


def _npy(r: random.Random, path: Path) -> str:
    path.write_bytes(_array(r)[1])
    return "another array"


def _array(r: random.Random) -> tuple[str, bytes]:
    """An array that is unusual, or whose header lies."""
    import numpy as np

    stream = io.BytesIO()
    if r.random() < 0.5:
        kind = r.choice(["f2", "f8", "c16", "M8[s]", "U5", "i8", "u1", "?", "f4", ">f8", "S3"])
        shape = r.choice([(), (0,), (3,), (0, 2), (3, 0), (30, 2), (2, 2, 2), (1, 1, 1, 1, 1, 2)])
        values = np.zeros(shape) if r.random() < 0.5 else np.full(shape, r.choice([np.nan, 1e308]))
        with np.errstate(all="ignore"):
            np.save(stream, values.astype(kind))
        return kind, stream.getvalue()
    shape = r.choice(["(10**12,)", "(1000000000000, 2)", "(-1, 2)", "(2,", "('a',)", "(30, 2)"])
    kind = r.choice(["<f8", "|O", "<f4", "nonsense", "[('a', '<f8')]"])
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * r.randint(0, 5) + b"\n"
    size = r.choice([len(header), 65535, 0])
    return "lie", b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + header + r.randbytes(480)


def _npz(r: random.Random, path: Path) -> str:
    import zipfile

    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = r.choice(list(members))
    story = r.choice(["bomb", "array", "array", "bytes", "removed", "renamed"])
    if story == "bomb":
        members[name] = b"\x93NUMPY\x01\x00\x46\x00" + (
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (250000000,), }".ljust(69) + b"\n"
        )
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            for key, content in members.items():
                with file.open(key, "w") as member:
                    member.write(content)
                    for _ in range(200 if key == name else 0):
                        member.write(bytes(2**20))
        return "bomb"
    content = members.pop(name)
    if story == "array":
        members[name] = _array(r)[1]
    elif story == "bytes":
        members[name] = content[: r.randrange(len(content))] + r.randbytes(5)
    elif story == "renamed":
        members[r.choice(["../x.npy", "a.npy", "x_train", "\x1b.npy"])] = content
    with zipfile.ZipFile(path, "w") as file:
        for key, content in members.items():
            file.writestr(key, content)
    return f"{name} {story}"


def _safetensors(r: random.Random, path: Path) -> str:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, story = _mutated(r, json.loads(content[8 : 8 + size]), VALUES)
    text = json.dumps(header).encode()
    length = r.choice([len(text)] * 4 + [0, 2**40, 2**63])
    path.write_bytes(length.to_bytes(8, "little") + text + content[8 + size :])
    return f"{story}, header of {length} bytes"


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
    before = _empty_pictures
    if tried.quick and r.random() < 0.95:
        before = shop.shorten(tried.arguments)
    if r.random() < 0.02:
        before = _nothing
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
