"""Typed configuration of `lipsort tune`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from lipsort_cli.config.options import LARGEST_SEED, REQUIRED, node, option
from lipsort_cli.config.registry import COMMANDS, command

_SHARES = ("accuracy", "certified_accuracy_estimate")

LOGGED: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "train": ("loss", *_SHARES, "worst_case_accuracy", "lr"),
        "validation": _SHARES,
        "diagnostics": (
            *("jacobian_sigma_max", "jacobian_sigma_mean", "jacobian_sigma_min", "gradient_kept"),
            *("gradient_norm.*", "active_units.*", "frequent_units.*"),
        ),
    },
    "estimate-wasserstein": {"check": ("lower", "upper", "objective", "constant", "lr")},
    "wgan": {
        "train": (
            *("critic_gap", "penalty", "generator_loss", "w1_lower"),
            *("gradient_norm", "gradient_norm_largest", "lr"),
        )
    },
}
"""Figures that the trainings of commands log, by split; none is of a test set. * is a number."""

TUNED = ("train", "estimate-wasserstein")
"""Commands that can be tuned: their training logs figures of data that it does not learn."""

EXAMPLE = "optimizer.lr=log(1e-3,1)"
"""A word that every command that is tuned can search."""

_SILENT = {"validation": "data.validation", "diagnostics": "training.diagnostics_every"}
"""Keys with which nothing is logged of a split where they are 0."""

HOLDS_OUT = {
    "train": ("data.test",),
    "estimate-wasserstein": (
        "seed", "evaluation.holdout", "distribution.p", "distribution.q", "distribution.rows"
    ),
}  # fmt: skip
"""Keys of commands that decide which rows are held out. Were one searched, trials would learn from
rows that the best of them is judged on."""


def logged(command: str, key: str) -> str:
    """What trainings of ``command`` log, in words, where ``key`` is none of that; else nothing."""
    names = [f"{split}.{name}" for split, found in LOGGED[command].items() for name in found]
    return "" if any(fnmatchcase(key, name) for name in names) else ", ".join(names)


def silent(config: Any, keys: Iterable[str]) -> str:
    """Why training with ``config`` logs nothing of one of the figures ``keys``; else nothing."""
    for key in keys:
        switch = _SILENT.get(key.partition(".")[0])
        node = config
        for name in switch.split(".") if switch else ():
            node = getattr(node, name, None)
        if switch and node == 0:
            return f"{switch}: found 0, while the goal is {key}; allowed: above 0"
    return ""


@command(
    "tune",
    continued=True,
    examples=(
        ("The learning rate of a classifier", f"lipsort tune train '{EXAMPLE}'"),
        (
            "The front of clean against certified accuracy, two processes",
            "lipsort tune train loss.margin=1,2,4 objectives=[clean,certified] workers=2",
        ),
        ("Go on with a study that was stopped", "lipsort tune resume=outputs/tune/DATE/TIME"),
    ),
)
@node
class TuneConfig:
    """Search a command's keys for the best trade-offs, on validation data alone.

    What is searched stands among the command's words, in Hydra's grammar of sweeps: ``a,b``,
    ``choice(a,b)``, ``range(1,9)``, ``interval(0,1)``; ``log(1e-3,1)`` is an interval that is
    searched by orders of magnitude, ``int(...)`` makes one of whole numbers.
    """

    command: str = option(
        REQUIRED,
        "command that is tuned, its first word",
        choices=TUNED,
        refused={
            "wgan": "nothing that it logs while it trains says how good its samples are, and what "
            "judges them takes longer than training"
        },
    )
    overrides: list[str] = option([], "its words: all keys that are none of these here")
    objectives: list[str] = option(
        [],
        "one figure or two: clean, certified, lower, or SPLIT.NAME as training logs it; a leading "
        "- reverses; []: certified or lower",
        distinct=True,
    )
    trials: int = option(20, "trainings", minimum=1, maximum=100_000)
    workers: int = option(1, "trainings at a time, each a process", minimum=1, maximum=1024)
    prune: bool = option(
        True, "end trainings early that lag behind the median; of one objective only"
    )
    search_seed: int = option(0, "seeds the search", minimum=0, maximum=LARGEST_SEED)
    moved: list[str] = option(
        [], "where the data of a study that is gone on with lie now: data.path=PLACE beside resume="
    )
    resume: str | None = option(None, "go on with the study in this folder")

    def faults(self) -> Iterator[str]:
        """Objectives that are none, or too many."""
        if len(self.objectives) > 2:
            yield f"objectives: found {len(self.objectives)}; allowed: one or two"
        known = COMMANDS[self.command].measures if self.command in COMMANDS else {}
        names = [found.removeprefix("-") for found in self.objectives]
        if len({known.get(name, name) for name in names}) < len(set(self.objectives)):
            yield f"objectives: found {', '.join(self.objectives)}, one figure; allowed: it once"
        for found, name in zip(self.objectives, names, strict=True) if known else ():
            if name not in known and (allowed := logged(self.command, name)):
                yield (
                    f"objectives: found {found}; allowed: {', '.join(known)}, or what training "
                    f"logs: {allowed}; figures of results.json are of data that nothing may be "
                    "chosen by"
                )
