"""The data of a study's trials, looked for before anything of the study is made."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from lipsort_cli.config.compose import known_to_hydra
from lipsort_cli.config.typed import to_typed
from lipsort_cli.tune.space import Space, configurations


def require_data(command: str, space: Space) -> list[dict[str, Any]]:
    """Load every data set that trials of ``space`` are trained on, once each, as they will.

    Returns:
        The fingerprint of each, as runs record them.

    Raises:
        LipsortError: one is missing, damaged, or not what its options say.
    """
    seen, found = set(), []
    for config in configurations(command, space):
        node = config.get("data") or config.get("distribution")
        with known_to_hydra(config):
            said = OmegaConf.to_yaml(node, resolve=True)
            typed = to_typed(config, command)
        if said in seen:
            continue
        seen.add(said)
        if command == "train":
            from lipsort_cli.data import load

            found.append(load(typed.data).fingerprint)
        else:
            from lipsort_cli.wasserstein.build import build_source

            found.append(build_source(typed).fingerprint)
    return found
