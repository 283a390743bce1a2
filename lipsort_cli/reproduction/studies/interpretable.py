"""7: input gradients of constrained, PGD-trained and plain networks, side by side."""

from __future__ import annotations

from pathlib import Path

from lipsort_cli.reports.blocks import Block, Picture
from lipsort_cli.reproduction.jobs import Job, follow_up
from lipsort_cli.reproduction.outcomes import SIDES, Metric, Outcomes, at, short, table
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

MAIN = tuple(f"{side}/robustness_l2" for side in SIDES)
OTHERS = ("paper/robustness_linf_pgd", "paper/robustness_linf_plain")
LABELS = ("constrained", "PGD-trained", "plain")


def needs(job: Job) -> bool:
    """The MaxMin networks of 5, and both others of 4."""
    return short(job.preset) in OTHERS or job.arm.get("activation") == "maxmin"


def follow(jobs: list[Job], out: Path, mode: str) -> list[Job]:
    """For each seed and side, `lipsort inspect` of the three networks together."""
    by_key = {(short(job.preset), job.seed): job for job in jobs}
    made = []
    for main in (job for job in jobs if short(job.preset) in MAIN):
        chosen = [main, *(by_key[other, main.seed] for other in OTHERS)]
        folders = ",".join(f"'{job.directory.absolute()}'" for job in chosen)
        overrides = (f"run='{main.directory.absolute()}'", f"runs=[{folders}]", "pictures=4")
        made.append(follow_up("inspect", overrides, chosen, out))
    return made


def figure(position: int, key: str) -> Metric:
    """Alignment or smoothness of the gradients of one of the three (empirical)."""
    return at("input_gradients", "by_run", position, key, file="inspect.json")


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """Gradients of constrained and PGD-trained networks are smoother than plain ones'."""
    arms = outcomes.arms(*(f"{main}:inspect" for main in MAIN))
    made = table(
        "Input gradients",
        arms,
        [(f"{key}, {label}", figure(index, key), 3)
         for key in ("smoothness", "alignment") for index, label in enumerate(LABELS)],
        "Empirical, over 64 test images: smoothness is that of the picture of the margin's "
        "gradient, alignment its cosine with the image; more is easier to read.",
    )  # fmt: skip
    blocks: list[Block] = [made]
    for arm in arms:
        path = arm.outcomes[0].directory / "figures" / "input_gradients.png"
        text = f"Input gradients for the same images, {arm.side}, first seed: "
        blocks.append(Picture(path, text + ", ".join(LABELS) + "."))
    checks = [_check(outcomes, side, 0) for side in SIDES]
    return Finding([*checks, _check(outcomes, "paper", 1)], blocks)


def _check(outcomes: Outcomes, side: str, position: int) -> Check:
    chosen = f"{side}/robustness_l2:inspect"
    found, plain = (outcomes.sample(figure(i, "smoothness"), chosen) for i in (position, 2))
    what = LABELS[position]
    return ordering(
        f"Gradients of {what} networks are easier to read than those of plain ones",
        SIDES[side], [(f"smoothness of the gradient, {what} - plain", found, plain, 0.0)],
        places=2, published="shown as pictures",
        reason="PGD training at 0.3 has hardly begun in so few epochs" if position else "",
    )  # fmt: skip


INTERPRETABLE = Study(
    7,
    "interpretable_gradients",
    "Interpretable gradients",
    "Gradients of Lipschitz-constrained networks show what the network looks at.",
    judge,
    (*MAIN, *OTHERS),
    follow,
    needs,
)
