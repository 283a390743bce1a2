"""7: input gradients of constrained, PGD-trained and plain networks, side by side."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.jobs import Job, follow_up
from lipsort_cli.reproduction.outcomes import Metric, Outcomes
from lipsort_cli.reproduction.statistics import greater
from lipsort_cli.reproduction.study import Check, Finding, Study

MAIN = "robustness_l2"
LABELS = ("MaxMin, L2-constrained", "ReLU, PGD-trained", "ReLU, plain")


def follow(jobs: list[Job], out: Path) -> list[Job]:
    """For each seed, `lipsort inspect` of the three networks together."""
    made = []
    for seed in sorted({job.seed for job in jobs}):
        own = [job for job in jobs if job.seed == seed and job.arm.get("activation") != "relu"]
        names = [job.preset.rpartition("/")[2] for job in own]
        if len(own) != len(LABELS):
            continue
        chosen = [own[names.index(name)] for name in (MAIN, *_OTHERS)]
        folders = ",".join(f"'{job.directory.absolute()}'" for job in chosen)
        overrides = (f"run='{chosen[0].directory.absolute()}'", f"runs=[{folders}]")
        made.append(follow_up("inspect", overrides, chosen, out))
    return made


_OTHERS = ("robustness_linf_pgd", "robustness_linf_plain")


def figure(position: int, key: str) -> Metric:
    """Alignment or smoothness of the gradients of one of the three (empirical)."""
    return lambda outcome: float(
        outcome.file("inspect.json")["input_gradients"]["by_run"][position][key]
    )


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """Gradients of constrained and PGD-trained networks are smoother than plain ones'."""
    chosen = f"{MAIN}:inspect"
    smooth, aligned = (
        [outcomes.sample(figure(index, key), chosen) for index in range(len(LABELS))]
        for key in ("smoothness", "alignment")
    )
    rows = [
        [label, s.text(3), a.text(3)] for label, s, a in zip(LABELS, smooth, aligned, strict=True)
    ]
    table = Table(
        "Input gradients",
        ["network", "smoothness", "alignment with the image"],
        rows,
        "Empirical, over 64 test images and all seeds: smoothness is that of the picture of the "
        "margin's gradient, alignment its cosine with the image; more is easier to read.",
    )
    blocks: list[Table | Picture] = [table]
    for outcome in outcomes.of(chosen)[:1]:
        path = outcome.directory / "figures" / "input_gradients.png"
        if path.is_file():
            text = "Input gradients of the three networks for the same images, first seed: the "
            blocks.append(
                Picture(path, text + "constrained network's show strokes, the plain one's noise.")
            )
    check = Check(
        "Gradients of constrained networks are easier to read than those of plain ones",
        "smoothness: " + "; ".join(f"{n} {s.text(2)}" for n, s in zip(LABELS, smooth, strict=True)),
        (
            ("smoothness of the gradient, constrained - plain", greater(smooth[0], smooth[2])),
            ("smoothness of the gradient, PGD-trained - plain", greater(smooth[1], smooth[2])),
        ),
        published="shown as pictures",
    )
    return Finding([check], list(blocks))


INTERPRETABLE = Study(
    7,
    "interpretable_gradients",
    "Interpretable gradients",
    "Gradients of Lipschitz-constrained networks show what the network looks at.",
    judge,
    (MAIN, *_OTHERS),
    follow,
)
