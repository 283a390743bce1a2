"""Runs on disk: found at any depth, read without trusting that they are whole."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os.path import exists, isdir
from pathlib import Path
from typing import Any

from lipsort_cli.certificates.claims import OWN
from lipsort_cli.config.tree import leaves
from lipsort_cli.console import command_line
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import read_json, read_yaml, resolved
from lipsort_cli.identity import check_weights, file_digest, holder
from lipsort_cli.metrics import read_log
from lipsort_cli.reports.values import PROVEN, Figure, figures
from lipsort_cli.runs import RECORD, RESULTS, of_hydra, read_record
from lipsort_cli.verifier.format import content_digest

TRIAL = "trial.json"
"""Of a training that `lipsort tune` compares with others: it is judged only when it is resumed."""
_CONFIG = Path(".hydra") / "config.yaml"
_SKIPPED = ("checkpoint", "figures", "tensorboard", "wandb", "mlruns")
_ADDED = {"certificate.json": "certificate", "attack.json": "attack", "inspect.json": "inspect"}
"""Files that later commands put into a run, with the prefix of their figures."""


@dataclass(frozen=True)
class Run:
    """A finished run: its record, its configuration by dotted keys, its figures, its log."""

    directory: Path
    command: str
    record: dict[str, Any]
    config: dict[str, Any]
    figures: list[Figure]
    log: list[dict[str, Any]] = field(repr=False, default_factory=list)
    radii: dict[str, list[float]] = field(repr=False, default_factory=dict)
    """Certified radii of all points of its certificate, ascending, by norm."""

    @property
    def seed(self) -> Any:
        """The seed of the configuration."""
        return self.config.get("seed", self.record.get("seed"))


@dataclass(frozen=True)
class Broken:
    """A run that has no figures to compare, and why."""

    directory: Path
    command: str
    status: str
    reason: str


def expand(arguments: Sequence[str | Path]) -> list[Path]:
    """Folders that the arguments name: paths, or patterns with ``*``, ``?`` and ``**``.

    Raises:
        UsageError: one of them names nothing.
    """
    found: list[Path] = []
    for argument in map(str, arguments):
        path = resolved(argument)
        if isdir(path):
            found.append(path)
            continue
        if exists(path):
            raise UsageError(f"{path} is a file; give run directories or folders that hold them")
        matches = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(argument) else []
        folders = [Path(match) for match in matches if Path(match).is_dir()]
        if not folders:
            raise UsageError(f"{argument}: no such directory; give run directories, or sweeps")
        found += folders
    return found


def collect(
    arguments: Sequence[str | Path], commands: Iterable[str]
) -> tuple[list[Run], list[Broken]]:
    """Every run of ``commands`` in or under the folders named, each once, oldest first.

    Raises:
        UsageError: a folder does not exist, or none of them holds a run.
    """
    known = frozenset(commands)
    runs: list[Run] = []
    broken: list[Broken] = []
    seen: set[Path] = set()
    for folder in expand(arguments):
        for directory in _run_directories(folder, known):
            real = directory.resolve()
            if real in seen:
                continue
            seen.add(real)
            entry = _read(directory, known)
            if isinstance(entry, Run):
                runs.append(entry)
            elif entry is not None:
                broken.append(entry)
    if arguments and not runs and not broken:
        given = ", ".join(map(str, arguments))
        raise UsageError(
            f"no run in {given}, at any depth: no folder there holds a {RECORD} of "
            f"{', '.join(sorted(known))}; trials of `lipsort tune` count once they are judged "
            "(lipsort train resume=TRIAL)"
        )
    runs.sort(key=lambda run: (str(run.record.get("start", "")), str(run.directory)))
    return runs, broken


def _run_directories(folder: Path, commands: frozenset[str]) -> Iterator[Path]:
    """Folders with a record, or with a configuration of a command that should have left one."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        job = str(of_hydra(here, "job", "name")) if ".hydra" in folders else ""
        if RECORD in files or job in commands:
            yield here
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _SKIPPED
        )


def _read(directory: Path, commands: frozenset[str]) -> Run | Broken | None:
    """A run, or what is wrong with it; None for a command that leaves nothing to compare."""
    try:
        record = read_record(directory)
    except LipsortError as error:
        present = (directory / RECORD).exists()
        why = str(error) if present else f"no {RECORD}: stopped before it was written, or removed"
        status = "unreadable" if present else "without a record"
        return Broken(directory, str(of_hydra(directory, "job", "name")), status, why)
    command = record["command"]
    if command not in commands:
        return None
    status = str(record["status"])
    if status != "finished":
        if (directory / TRIAL).is_file():
            return None  # of `lipsort tune`, which says itself what came of it
        if status == "running" and holder(directory) is None:
            status = "killed"
        advice = {"running": "still at work", "failed": str(record.get("reason", "no reason"))}
        default = f"continue with `lipsort {command} resume={directory}`"
        return Broken(directory, command, status, advice.get(status, default))
    try:
        config, later = dict(leaves(_configuration(directory))), _later(directory)
        norm = str(config.get("evaluation.norm", config.get("norm", "")))
        results = read_json(directory / RESULTS)
        if not (own := figures(results, command, norm)):
            raise LipsortError(f"{RESULTS} holds no figures")
        _refuse_changed(directory, record, later.get("certificate"))
    except LipsortError as error:
        return Broken(directory, command, "finished", str(error))
    for prefix, values in later.items():
        own += [
            Figure(f"{prefix}.{one.name}", one.value, one.evidence, one.detail)
            for one in _of_file(prefix, values)
        ]
    log, radii = log_of(directory), _radii(later.get("certificate"), results)
    return Run(directory, command, record, config, own, log, radii)


def _configuration(directory: Path) -> dict[str, Any]:
    config: Any = None
    with contextlib.suppress(LipsortError):
        config = read_yaml(directory / _CONFIG)
    if not isinstance(config, dict):
        raise LipsortError(f"{_CONFIG} is missing or damaged")
    if not isinstance(config.get("seed"), int):
        # Every command has that key, near the end: what is left of a file cut short reads as YAML,
        # and all that it lacks would stand in the table as differences.
        raise LipsortError(f"{_CONFIG} is damaged or cut short: it lacks a seed")
    return config


def _later(directory: Path) -> dict[str, Any]:
    """What the commands that worked on the run afterwards left, by the prefix of its figures."""
    found = {}
    for name, prefix in _ADDED.items():
        with contextlib.suppress(LipsortError):
            found[prefix] = read_json(directory / name, most=2**26)
    return found


def _refuse_changed(directory: Path, record: dict[str, Any], certificate: Any) -> None:
    """Refuse figures that were edited, also in a certificate, or are of other weights than the run
    ended with: what they are called, proven or empirical, is taken from the files.

    Raises LipsortError. Weights that were deleted to save room leave the figures as they are.
    """
    if record.get("results", found := file_digest(directory / RESULTS)) != found:
        raise LipsortError(
            f"{RESULTS} was changed after the run: its SHA-256 is {found}, and {RECORD} has "
            f"{record['results']}; restore the file, or train again"
        )
    weights = record.get("weights") or {}
    if weights and all(exists(directory / name) for name in weights):
        check_weights(directory, record)
    if not isinstance(certificate, dict):
        return
    network, digest = certificate.get("network"), None
    named = network if isinstance(network, dict) else {}
    file = named.get("file_sha256")
    with contextlib.suppress(ValueError):  # NaN, which no certificate has
        digest = content_digest(certificate)
    same = weights.get(str(named.get("file")), file) == file
    if not same or digest is None or certificate.get("digest") != digest:
        raise LipsortError(
            "certificate.json was changed after it was issued, or is of other weights; issue it "
            f"again: `{command_line('lipsort', 'certify', directory)}`"
        )


def _radii(certificate: Any, results: dict[str, Any]) -> dict[str, list[float]]:
    """The radius of each test point, 0 where it is classified wrongly, by a certificate of all."""
    try:
        claim, texts = certificate["claim"], certificate["points"]["radius"]
        of_run = results["certified_accuracy"]
        asked = of_run["norm"], of_run["arithmetic"], of_run["points"]
        if (claim["norm"], claim["arithmetic"], len(texts)) != asked or _elsewhere(certificate):
            return {}
        radii = sorted(float.fromhex(text) for text in texts)
        return {str(claim["norm"]): radii} if radii and radii[0] >= 0 else {}
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}


def _elsewhere(certificate: dict[str, Any]) -> str:
    """Where the points of a certificate are from, unless they are of the run's test set."""
    data = certificate.get("data")
    source = str(data.get("source", "")) if isinstance(data, dict) else ""
    return "" if ", test set" in source and not source.endswith(OWN) else source


def _of_file(prefix: str, values: Any) -> list[Figure]:
    """Figures of a later command's file; only certificates, which bear a digest, prove any."""
    if not isinstance(values, dict):
        return []
    if prefix == "certificate":
        return list(_of_certificate(values))
    return [
        replace(one, evidence="empirical") if one.evidence.startswith(PROVEN) else one
        for one in _measured(prefix, values)
    ]


def _measured(prefix: str, values: dict[str, Any]) -> list[Figure]:
    if prefix == "attack":
        kept = ("attacked_accuracy", "median_distance_over_radius")
        about = {key: values.get(key) for key in ("norm", "arithmetic", "points")}
        merged = {
            key: about | (value if isinstance(value, dict) else {"value": value})
            for key, value in values.items()
            if key in kept
        }
        merged["evidence"] = {"median_distance_over_radius": "empirical"}
        return figures(merged)
    return figures({key: values[key] for key in ("jacobian", "gradient_norm") if key in values})


def _of_certificate(values: dict[str, Any]) -> Iterator[Figure]:
    """Certified shares as a certificate states them; only `lipsort verify` derives them again."""
    try:
        claim, summary = values["claim"], values["summary"]
        count = len(values["points"]["index"])
        detail = f"{claim['arithmetic']}, {count:,} points, as issued"
        if source := _elsewhere(values):
            detail += f", {source}"
        # Labels that are predictions make no accuracy.
        what = "certified_share" if source.endswith(OWN) else "certified_accuracy"
        for entry in summary["certified_at"]:
            name = f"{what}.{claim['norm']}.{float.fromhex(entry['eps'])}"
            yield Figure(name, entry["count"] / count, "proven", detail)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return


def log_of(directory: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's ``metrics.jsonl``; none where it cannot be read."""
    try:
        return read_log(directory / "metrics.jsonl")
    except LipsortError:
        return []
