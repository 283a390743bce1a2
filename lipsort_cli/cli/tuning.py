"""The words of ``lipsort tune COMMAND WORDS...``: its own keys, and those that it hands on."""

from __future__ import annotations

import os
from dataclasses import fields

from omegaconf import DictConfig

from lipsort_cli.cli.arguments import path_of
from lipsort_cli.config.meant import alike
from lipsort_cli.config.schema import find
from lipsort_cli.config.tune import EXAMPLE, TUNED, TuneConfig
from lipsort_cli.config.typed import to_typed
from lipsort_cli.errors import UsageError
from lipsort_cli.files import resolved
from lipsort_cli.identity import PLACES
from lipsort_cli.quoting import quoted

OWN = frozenset(entry.name for entry in fields(TuneConfig))
"""Keys of the search itself; all others are the command's that is tuned."""


def with_command(words: list[str]) -> list[str]:
    """``words`` after ``lipsort tune`` as overrides of its own configuration.

    Raises:
        UsageError: no command is named, or more than one.
    """
    own = [word for word in words if _is_own(word)]
    named = [word for word in words if "=" not in word and not word.startswith("~")]
    if any(word.startswith("resume=") for word in own) or (
        not named and any(word.startswith("command=") for word in own)
    ):
        others = [word for word in words if word not in own]
        moved = [word for word in others if word.startswith(tuple(f"{key}=" for key in PLACES))]
        if rest := [word for word in others if word not in moved]:
            raise UsageError(
                f"found {rest[0]}; allowed beside resume=: trials=N, workers=N, and of data that "
                f"have moved {', '.join(f'{key}=PLACE' for key in PLACES)}",
                tuple((word, []) for word in rest),
            )
        return [*own, f"moved=[{','.join(map(_place, moved))}]"] if moved else own
    command = find(named[0]) if named else None
    if command is None or len(named) > 1:
        near = alike(named[0], TUNED) if named else []
        hint = f"; did you mean {near[0]}?" if near and command is None else ""
        raise UsageError(
            f"found {' '.join(named) or 'no command'}; allowed: the command to tune and then its "
            f"keys, as in lipsort tune train '{EXAMPLE}'{hint}",
            ((named[0], [near[0]]),) if hint and len(named) == 1 else (),
        )
    for word in words:
        if word.startswith("objective="):  # of sweepers, which a search is none of
            raise UsageError(
                f"found {word}; allowed: objectives=[...]",
                ((word, [word.replace("objective", "objectives", 1)]),),
            )
    rest = [quoted(word) for word in words if word not in own and word not in named]
    one = [f"objectives=[{word.partition('=')[2]}]" if _is_bare(word) else word for word in own]
    return [f"command={command.name}", f"overrides=[{','.join(rest)}]", *one]


def require_searchable(config: DictConfig) -> None:
    """Refuse what is no search before the folder is named that it would have been made in."""
    from lipsort_cli.tune.study import optuna_package, searched

    optuna_package()
    searched(to_typed(config, "tune"))


def _place(word: str) -> str:
    """Where data lie, seen from here, as a word that means the same from everywhere."""
    place = os.path.abspath(resolved(path_of(word)))
    return quoted(f"{word.partition('=')[0]}={quoted(place)}")


def _is_own(word: str) -> bool:
    key = word.partition("=")[0]
    return "=" in word and (key in OWN or key.startswith(("hydra.", "hydra/")))


def _is_bare(word: str) -> bool:
    """Whether a single objective stands there without brackets."""
    key, _, value = word.partition("=")
    return key == "objectives" and value[:1] not in ("[", "")
