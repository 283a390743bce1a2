"""`lipsort attack RUN`: adversaries against the certificate; a distance below a radius is a bug."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates.files import CERTIFICATE
from lipsort_cli.certificates.points import (
    CertifiedPoints,
    certify_points,
    load_network,
    require_classifier,
)
from lipsort_cli.commands.earlier import write_result
from lipsort_cli.config.certificates import AttackConfig
from lipsort_cli.console import console, follow_up, plural, results_line, show_table, warn
from lipsort_cli.directed_text import at_least, share_down
from lipsort_cli.errors import LipsortError
from lipsort_cli.figures.robustness import draw_robustness
from lipsort_cli.files import write_csv
from lipsort_cli.trained import TrainedRun, open_run, resolve_claim, say_taken


def run(config: AttackConfig, directory: Path) -> None:
    """Attack ``config.run``; writes ``attack.json`` and ``attack.csv`` into ``directory``."""
    trained = open_run(config.run, config.points, config.data)
    require_classifier(network := load_network(trained.network))
    say_taken(config.points, len(trained.labels), "the test set")
    norm, arithmetic, eps = resolve_claim(
        trained.config, network, config.norm, config.arithmetic, config.eps
    )
    points = certify_points(
        network, trained.inputs, trained.labels, norm=norm, arithmetic=arithmetic
    )
    campaign = Campaign(
        network,
        norm=norm,
        arithmetic=arithmetic,
        bounds=trained.bounds if config.box else None,
        steps=config.steps,
        restarts=config.restarts,
        seed=config.seed,
    )
    total = len(trained.labels)
    findings = campaign.run(
        config.methods,
        trained.inputs,
        trained.labels,
        points.radii,
        eps,
        lambda done: console.print(f"attacked {done} of {total} points"),
    )
    for remark in campaign.remarks:
        warn(remark)
    found = Found(points, findings.nearest, eps)
    _write(directory, config, trained, found, campaign.remarks)
    draw_robustness(
        directory / "figures" / "attack.png",
        points.radii,
        norm=norm,
        title=f"{trained.name}: certificate and attacks ({', '.join(config.methods)})",
        clean=float((points.predictions == trained.labels).mean()),
        attacked={radius: share for radius, _, share in found.shares},
        eps=eps,
    )
    _show(config, trained, found, directory)
    if len(found.failures):
        worst = int(found.failures[0])
        raise LipsortError(
            f"soundness failure: {plural(len(found.failures), 'point')} changed label within the "
            f"certified radius; the first is point {worst}, at distance {found.nearest[worst]!r} "
            f"with radius {points.radii[worst]!r}; see {directory / 'attack.csv'} and report it"
        )


class Found(NamedTuple):
    """Certified radii, and the ``nearest`` adversary of each point [N]; infinite where none is."""

    points: CertifiedPoints
    nearest: np.ndarray
    eps: list[float]

    @property
    def failures(self) -> np.ndarray:
        """Points whose label is lost within their certified radius."""
        return np.flatnonzero((self.nearest <= self.points.radii) & (self.points.radii > 0))

    @property
    def shares(self) -> list[tuple[float, float, float]]:
        """Radius, certified share, share that no attack broke."""
        return [
            (e, float((self.points.radii >= e).mean()), float((self.nearest > e).mean()))
            for e in self.eps
        ]

    @property
    def ratios(self) -> np.ndarray:
        """Distance over certified radius, of the points that have both."""
        both = np.isfinite(self.nearest) & (self.points.radii > 0)
        return self.nearest[both] / self.points.radii[both]


def _write(
    directory: Path, config: AttackConfig, trained: TrainedRun, found: Found, remarks: list[str]
) -> None:
    points, nearest = found.points, found.nearest
    result = {
        "norm": points.norm,
        "arithmetic": points.arithmetic,
        "methods": list(config.methods),
        "points": len(nearest),
        "fooled": int(np.isfinite(nearest).sum()),
        "certified_accuracy": {
            "evidence": "proven",
            "routes": points.shares(),
            "eps": {f"{e}": c for e, c, _ in found.shares},
        },
        "attacked_accuracy": {
            "evidence": "empirical",
            "eps": {f"{e}": a for e, _, a in found.shares},
        },
        "soundness_failures": len(found.failures),
    }
    if len(found.ratios):
        result["median_distance_over_radius"] = float(np.median(found.ratios))
    if remarks:
        result["remarks"] = remarks
    header = ["index", "label", "prediction", "certified_radius", "smallest_distance_found"]
    rows = zip(
        range(len(nearest)),
        trained.labels.tolist(),
        points.predictions.tolist(),
        points.radii.tolist(),
        (distance if math.isfinite(distance) else "" for distance in nearest.tolist()),
        strict=True,
    )
    write_csv(directory / "attack.csv", header, rows)
    write_result(directory / "attack.json", result, config)


def _show(config: AttackConfig, trained: TrainedRun, found: Found, directory: Path) -> None:
    show_table(
        ["radius", "certified (proven)", "under attack (empirical)"],
        [(f"{eps}", share_down(safe), f"{held:.2%}") for eps, safe, held in found.shares],
        title=f"{plural(len(found.nearest), 'test point')}, {found.points.norm}, "
        f"{found.points.arithmetic}",
    )
    if len(found.ratios):
        console.print(
            f"Smallest distance found over certified radius, {plural(len(found.ratios), 'point')}: "
            f"least {at_least(found.ratios.min(), 7)}, median {np.median(found.ratios):.4g} "
            "(below 1 would be a failure)"
        )
    issued = (trained.directory / CERTIFICATE).is_file()
    results_line("Results", directory, "attack.json", "attack.csv", "figures/attack.png")
    follow_up("lipsort", "export" if issued else "certify", trained.directory)
