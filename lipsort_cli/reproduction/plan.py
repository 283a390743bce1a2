"""Which jobs a reproduction consists of, and the data that they need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lipsort_cli.errors import UsageError
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


def prepare(jobs: Iterable[Job]) -> None:
    """Load every data set that is downloaded when absent once, before several jobs do so at a time.

    Raises:
        LipsortError: it is absent and cannot be downloaded.
    """
    from omegaconf import OmegaConf

    from lipsort_cli.config.data import DownloadedData

    found: dict[str, Any] = {}
    for preset in dict.fromkeys(job.preset for job in jobs if ":" not in job.preset and job.preset):
        if not preset.startswith(("paper/", "ours/")):
            continue
        node = composed(command_of(preset), preset).get("data")
        if node is not None and issubclass(OmegaConf.get_type(node) or object, DownloadedData):
            found[str(node.name)] = OmegaConf.to_object(node)
    if found:
        from lipsort_cli.data import load

        for data in found.values():
            load(data)
