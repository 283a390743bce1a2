"""The figure that a sweeper optimizes: ``objective=KEY``.

A key names a figure of ``results.json`` as `lipsort report` calls it (``lower_bound``,
``certified_accuracy.l2.1.0``), or the last value of a split that the run logged
(``validation.accuracy``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsort_cli.config.registry import Command
from lipsort_cli.config.tune import LOGGED, logged, silent
from lipsort_cli.console import warn
from lipsort_cli.errors import LipsortError, UsageError
from lipsort_cli.files import read_json
from lipsort_cli.metrics import last_figures


def value(command: Command, keys: Any, directory: Path) -> float | tuple[float, ...] | None:
    """The figures that ``keys`` name, of the finished run in ``directory``: one, or a tuple.

    ``keys`` is None where the user asked for none: the command's own is returned, if it is there.

    Raises:
        LipsortError: the run has no such figure; those that it has are named.
    """
    asked = [keys] if isinstance(keys, str) else keys
    wanted = list(command.objective if asked is None else asked)
    if not wanted or not (directory / "results.json").is_file():
        return None
    known = figures(command, directory)
    if keys is None:
        return next((known[key] for key in wanted if key in known), None)
    for key in wanted:
        if key not in known:
            raise LipsortError(
                f"objective: found {key}, which this run has no figure of; allowed: "
                + ", ".join(known)
            )
    values = tuple(known[key] for key in wanted)
    return values[0] if isinstance(keys, str) else values


def check(command: Command, config: Any, optimized: bool = False) -> None:
    """Refuse what can be no figure's key; warn of figures that nothing may be chosen by.

    ``optimized``: a sweeper chooses by what is returned, also where ``config.objective`` is None.

    Raises:
        UsageError: neither a key nor a list of them, a split that is logged has no such figure, or
            nothing is logged of it with this ``config``.
    """
    keys = getattr(config, "objective", None)
    if keys is None and not (optimized and command.objective):
        return
    listed = list(command.objective[:1]) if keys is None else [keys] if _is_key(keys) else keys
    if not (isinstance(listed, list) and listed and all(map(_is_key, listed))):
        raise UsageError(
            f"objective: found {keys!r}; allowed: a figure's key such as validation.accuracy, or a "
            "list of them"
        )
    splits = LOGGED[command.name]
    judged = [key for key in listed if key.partition(".")[0] not in splits]
    for key in listed:
        if key not in judged and (allowed := logged(command.name, key)):
            raise UsageError(f"objective: found {key}; allowed of these splits: {allowed}")
    if fault := silent(config, listed):
        raise UsageError(f"{fault}, or another objective=")
    if judged := [key for key in judged if key != "lower_bound"]:  # proven, however it was chosen
        warn(
            f"objective: found {', '.join(judged)}, of data that the result is judged on: "
            "what a sweep chooses by it looks better there than it is; a figure of "
            f"{' or '.join(splits)}, as SPLIT.NAME, leaves that data unseen"
        )


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def figures(command: Command, directory: Path) -> dict[str, float]:
    """Every figure of a run by its key."""
    from lipsort_cli.reports.values import figures as of_results

    found = {
        f.name: f.value for f in of_results(read_json(directory / "results.json"), command.name)
    }
    return found | last_figures(directory / "metrics.jsonl")
