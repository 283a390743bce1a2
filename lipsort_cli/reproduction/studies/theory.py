"""9: the theory, checked by running it."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.jobs import Job, single
from lipsort_cli.reproduction.outcomes import Outcomes
from lipsort_cli.reproduction.study import Check, Finding, Study

NAME = "theory"


def follow(jobs: list[Job], out: Path, mode: str) -> list[Job]:
    """`lipsort theory`, once: it has no seed to vary."""
    return [single("theory", ("{directory}",), NAME, out)]


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """Every claim holds."""
    finding = Finding()
    for outcome in outcomes.of(NAME):
        claims = outcome.results["claims"]
        finding.blocks.append(
            Table(
                "Claims of the theory, checked here",
                ["claim", "evidence", "holds"],
                [[c["claim"], c["evidence"], "yes" if c["holds"] else "NO"] for c in claims],
                "Proven: by exact rational arithmetic, or by the verifier's rounding-proof bounds.",
            )
        )
        for path in sorted((outcome.directory / "figures").glob("*.png")):
            finding.blocks.append(Picture(path, _CAPTIONS.get(path.stem, path.stem)))
        for evidence, (claim, published) in _CLAIMS.items():
            held = tuple((c["name"], bool(c["holds"])) for c in claims if c["evidence"] == evidence)
            said = f"{sum(holds for _, holds in held)} of {len(held)} claims hold"
            finding.checks.append(
                Check(claim, said, (), published, side="ours", evidence=evidence, exact=held)
            )
    return finding


_CLAIMS = {
    "proven": (
        "The theory holds where it is executed: |x|, conversions, the lattice construction",
        "proven in the paper",
    ),
    "empirical": (
        "Trained networks bend as far as the theory lets them, and no further",
        "no figures",
    ),
}
"""What is claimed with each kind of evidence, and what was published of it."""


_CAPTIONS = {
    "absolute_value": "MaxMin represents |x| exactly; a norm-constrained ReLU network cannot bend "
    "from -1 to 1.",
    "universality": "The largest error of the lattice construction falls as its points grow, in 1 "
    "to 3 dimensions; faint: the bound that holds everywhere.",
    "lattice": "The lattice construction takes given values of a 1-Lipschitz function exactly.",
}

THEORY = Study(
    9,
    NAME,
    "Theory, executable",
    "What norm-constrained ReLU networks cannot represent, GroupSort networks can.",
    judge,
    follow=follow,
)
