"""Which jobs a reproduction consists of, and the data that they need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.reproduction.jobs import Job, command_of, composed
from lipsort_cli.reproduction.sizes import jobs_of
from lipsort_cli.reproduction.study import Study


@dataclass
class Plan:
    """Jobs in the order in which they start, each once, and the experiments that look at them."""

    studies: list[Study]
    jobs: list[Job] = field(default_factory=list)
    members: dict[int, list[Job]] = field(default_factory=dict)
    """Jobs of each experiment, by its number; a job may belong to several."""

    @property
    def unfinished(self) -> list[Job]:
        """Jobs that have not ended well yet."""
        return [job for job in self.jobs if not job.finished]


def choose(studies: Sequence[Study], wanted: Iterable[str]) -> list[Study]:
    """Experiments by number or name; all of them where none is named.

    Raises:
        UsageError: there is no such experiment.
    """
    chosen = []
    for word in wanted:
        found = [s for s in studies if word in (str(s.number), s.name)]
        if not found:
            known = ", ".join(f"{s.number} ({s.name})" for s in studies)
            raise UsageError(f"experiment: found {word!r}; allowed: {known}")
        chosen += [study for study in found if study not in chosen]
    return sorted(chosen, key=lambda study: study.number) or list(studies)


def plan(studies: list[Study], out: Path, seeds: Sequence[int], mode: str) -> Plan:
    """All jobs of ``studies`` under ``out`` in the size ``mode``."""
    made = Plan(studies)
    known: dict[Path, Job] = {}
    expanded: dict[str, list[Job]] = {}
    for study in studies:
        own: list[Job] = []
        for preset in study.presets:
            if preset not in expanded:
                expanded[preset] = jobs_of(preset, out, seeds, mode)
            own += filter(study.needs, expanded[preset])
        if study.follow is not None:
            own += study.follow(list(own), out, mode)
        made.members[study.number] = own
        for job in own:
            if job.directory not in known:
                known[job.directory] = job
                made.jobs.append(job)
    return made


def prepare(jobs: Iterable[Job]) -> dict[Path, str]:
    """Load every data set that is downloaded when absent once, before several jobs do so at a time.

    Directories of the ``jobs`` that cannot run, each with the reason: their data set, or that of a
    job which they need, is absent and cannot be downloaded.
    """
    from lipsort_cli.data import load

    tried: dict[str, str] = {}
    left_out: dict[Path, str] = {}
    for job in jobs:
        reason = next((left_out[path] for path in job.after if path in left_out), "")
        data = _downloaded(job.preset.partition(":")[0], job.arm.get("data", ""))
        if data is not None and data.name not in tried:
            try:
                load(data)
                tried[data.name] = ""
            except LipsortError as error:
                tried[data.name] = str(error)
        reason = reason or (tried[data.name] if data is not None else "")
        if reason:
            left_out[job.directory] = reason
    return left_out


def _downloaded(preset: str, data: str) -> Any:
    """The configuration of a preset's data set, or of ``data``; None of one that is always here."""
    from omegaconf import OmegaConf

    from lipsort_cli.config.data import DownloadedData

    if not preset.startswith(("paper/", "ours/")):
        return None
    words = (f"data={data}",) if data else ()
    node = composed(command_of(preset), preset, *words).get("data")
    if node is None or not issubclass(OmegaConf.get_type(node) or object, DownloadedData):
        return None
    return OmegaConf.to_object(node)
