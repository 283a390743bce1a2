"""From presets to jobs: one process-sized piece of work each, with a directory of its own.

The directory's name holds a digest of all that determines the result, so that a finished job is
found again and one whose configuration has changed is run anew.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lipsort_cli import __version__
from lipsort_cli.config import catalog
from lipsort_cli.config.schema import find
from lipsort_cli.config.tree import config_root, heading
from lipsort_cli.errors import LipsortError
from lipsort_cli.files import read_json

MARK = "job.json"
"""Written into a job's directory when it has ended, and not before."""


@dataclass(frozen=True)
class Job:
    """One run of one command."""

    command: str
    overrides: tuple[str, ...]
    directory: Path
    arm: Mapping[str, str] = field(default_factory=dict)
    """What tells it from the other jobs of its preset: key to value."""
    preset: str = ""
    after: tuple[Path, ...] = ()
    """Directories of jobs that must have ended well before it starts."""

    @property
    def seed(self) -> int:
        """Of the job."""
        return int(self.arm.get("seed", 0))

    @property
    def finished(self) -> bool:
        """Whether it has ended well, now or at an earlier time."""
        try:
            return bool(read_json(self.directory / MARK).get("finished"))
        except (LipsortError, AttributeError):
            return False

    @property
    def line(self) -> str:
        """The command line that does the same on its own."""
        words = " ".join(self.overrides).replace("{directory}", str(self.directory))
        return f"lipsort {self.command} {words}"


def expand(preset: str, out: Path, seeds: Iterable[int], extra: tuple[str, ...] = ()) -> list[Job]:
    """The jobs of a preset: all combinations of what its sweep lists, for each of ``seeds``.

    ``extra`` overrides come last and hold for all jobs; those of a key that the sweep lists take
    the place of its list.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    command = command_of(preset)
    config = composed(command, preset)
    params = dict(config.hydra.sweeper.params or {})
    params["seed"] = ",".join(map(str, seeds))
    params |= {key: value for key, value in map(_parted, extra) if key in params}
    extra = tuple(text for text in extra if _parted(text)[0] not in params)
    parser = OverridesParser.create()
    choices = []
    for key, value in params.items():
        override = parser.parse_override(f"{key}={value}")
        if override.is_sweep_override():
            choices.append([(key, text) for text in override.sweep_string_iterator()])
        else:
            choices.append([(key, str(value))])
    base = _digestible(config)
    jobs = []
    for combination in itertools.product(*choices):
        chosen = (f"{key}={value}" for key, value in combination)
        overrides = (f"experiment={preset}", "hydra.mode=RUN", *chosen, *extra)
        arm = dict(combination)
        directory = _place(out, preset, command, overrides, arm, base)
        jobs.append(Job(command, overrides, directory, arm, preset))
    return jobs


def _parted(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def follow_up(
    command: str, overrides: tuple[str, ...], of: Iterable[Job], out: Path, name: str = ""
) -> Job:
    """A job that works on the directories of others, after them; ``PRESET:NAME`` finds it.

    ``name``: the command, unless several jobs of one follow.
    """
    name = name or command
    jobs = list(of)
    base = "|".join(str(job.directory) for job in jobs)
    first = jobs[0]
    directory = _place(out, f"{first.preset}-{name}", command, overrides, first.arm, base)
    after = tuple(job.directory for job in jobs)
    return Job(command, overrides, directory, first.arm, f"{first.preset}:{name}", after)


def single(command: str, overrides: tuple[str, ...], name: str, out: Path) -> Job:
    """A job that no preset is behind."""
    directory = _place(out, name, command, overrides, {"": name}, "")
    return Job(command, overrides, directory, {}, name)


def command_of(preset: str) -> str:
    """The command that a preset is for, as its head says."""
    path = config_root() / catalog.PRESETS / f"{preset}.yaml"
    found = find(heading(path)[0].split()[1])
    assert found is not None, f"{path} names no command"
    return found.name


@cache
def composed(command: str, preset: str, *overrides: str) -> Any:
    """The composed configuration of a preset with its ``hydra`` node, to be read only."""
    from lipsort_cli.config.compose import Composer

    with Composer(command) as composer:
        return composer.compose([f"{catalog.PRESETS}={preset}", *overrides])


def _digestible(config: Any) -> str:
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    return json.dumps(plain, sort_keys=True, default=str)


def _place(
    out: Path,
    group: str,
    command: str,
    overrides: tuple[str, ...],
    arm: Mapping[str, str],
    base: str,
) -> Path:
    content = json.dumps([__version__, command, list(overrides), base])
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    words = [value if key != "seed" else f"seed{value}" for key, value in arm.items()]
    label = re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-")[:60]
    return out / "jobs" / re.sub(r"\W+", "-", group) / f"{label}-{digest}".lstrip("-")
