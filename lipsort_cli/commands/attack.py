"""`lipsort attack RUN`: adversaries against the certificate; a distance below a radius is a bug."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from rich.table import Table

from lipsort_cli.attacks.campaign import Campaign
from lipsort_cli.certificates import CertifiedPoints, certify_points, load_network
from lipsort_cli.certificates.files import CERTIFICATE
from lipsort_cli.config.certificates import AttackConfig
from lipsort_cli.console import console, follow_up, results_line, warn
from lipsort_cli.directed_text import at_least, share_down
from lipsort_cli.errors import LipsortError
from lipsort_cli.figures.robustness import draw_robustness
from lipsort_cli.runs import write_atomic, write_json
from lipsort_cli.trained import TrainedRun, open_run, resolve_radii


def run(config: AttackConfig, directory: Path) -> None:
    """Attack ``config.run``; writes ``attack.json`` and ``attack.csv`` into ``directory``."""
    trained = open_run(config.run, config.points, config.data)
    network = load_network(trained.network)
    norm, eps = resolve_radii(trained, config.norm, config.eps)
    points = certify_points(
        network, trained.inputs, trained.labels, norm=norm, arithmetic=config.arithmetic
    )
    campaign = Campaign(
        network,
        norm=norm,
        arithmetic=config.arithmetic,
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
    failures = np.flatnonzero(findings.nearest <= points.radii)
    failures = failures[points.radii[failures] > 0]
    _write(directory, config, trained, points, findings.nearest, failures, eps, campaign.remarks)
    _draw(directory, config, trained, points, findings.nearest, eps)
    _show(config, trained, points, findings.nearest, eps, directory)
    if len(failures):
        worst = int(failures[0])
        raise LipsortError(
            f"soundness failure: {len(failures)} points lose their label within their certified "
            f"radius; the first is point {worst}, at distance {findings.nearest[worst]!r} with "
            f"radius {points.radii[worst]!r}; see {directory / 'attack.csv'} and report it"
        )


def _shares(
    points: CertifiedPoints, nearest: np.ndarray, eps: list[float]
) -> list[tuple[float, float, float]]:
    """Radius, certified share, share that no attack broke."""
    return [
        (value, float((points.radii >= value).mean()), float((nearest > value).mean()))
        for value in eps
    ]


def _write(
    directory: Path,
    config: AttackConfig,
    trained: TrainedRun,
    points: CertifiedPoints,
    nearest: np.ndarray,
    failures: np.ndarray,
    eps: list[float],
    remarks: list[str],
) -> None:
    shares = _shares(points, nearest, eps)
    found = np.isfinite(nearest)
    tight = found & (points.radii > 0)
    result = {
        "norm": points.norm,
        "arithmetic": config.arithmetic,
        "methods": list(config.methods),
        "points": len(nearest),
        "fooled": int(found.sum()),
        "certified_accuracy": {
            "evidence": "proven",
            "routes": points.shares(),
            "eps": {f"{e}": c for e, c, _ in shares},
        },
        "attacked_accuracy": {"evidence": "empirical", "eps": {f"{e}": a for e, _, a in shares}},
        "soundness_failures": len(failures),
    }
    if tight.any():
        result["median_distance_over_radius"] = float(
            np.median(nearest[tight] / points.radii[tight])
        )
    if remarks:
        result["remarks"] = remarks
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["index", "label", "prediction", "certified_radius", "smallest_distance_found"])
    for row in range(len(nearest)):
        distance = repr(float(nearest[row])) if found[row] else ""
        writer.writerow(
            [
                row,
                int(trained.labels[row]),
                int(points.predictions[row]),
                repr(float(points.radii[row])),
                distance,
            ]
        )
    write_atomic(directory / "attack.csv", stream.getvalue())
    write_json(directory / "attack.json", result)


def _draw(
    directory: Path,
    config: AttackConfig,
    trained: TrainedRun,
    points: CertifiedPoints,
    nearest: np.ndarray,
    eps: list[float],
) -> None:
    draw_robustness(
        directory / "figures" / "attack.png",
        points.radii,
        norm=points.norm,
        title=f"{trained.name}: certificate and attacks ({', '.join(config.methods)})",
        clean=float((points.predictions == trained.labels).mean()),
        attacked={e: a for e, _, a in _shares(points, nearest, eps)},
        eps=eps,
    )


def _show(
    config: AttackConfig,
    trained: TrainedRun,
    points: CertifiedPoints,
    nearest: np.ndarray,
    eps: list[float],
    directory: Path,
) -> None:
    table = Table(title=f"{len(nearest):,} test points, {points.norm}, {config.arithmetic}")
    for name in ("radius", "certified (proven)", "under attack (empirical)"):
        table.add_column(name, justify="right")
    for radius, certified, attacked in _shares(points, nearest, eps):
        table.add_row(f"{radius}", share_down(certified), f"{attacked:.2%}")
    console.print(table)
    both = (points.radii > 0) & np.isfinite(nearest)
    if both.any():
        ratio = nearest[both] / points.radii[both]
        console.print(
            f"Smallest distance found over certified radius, {int(both.sum())} points: "
            f"least {at_least(ratio.min(), 7)}, median {np.median(ratio):.4g} "
            "(below 1 would be a failure)"
        )
    certified = (trained.directory / CERTIFICATE).is_file()
    results_line("Results", directory, "attack.json", "attack.csv", "figures/attack.png")
    follow_up("lipsort", "export" if certified else "certify", trained.directory)
