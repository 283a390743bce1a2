"""8: the distance between a generator and its data, and GAN training with a GroupSort critic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lipsort_cli.reports.blocks import Block, Picture
from lipsort_cli.reproduction.draw import dots
from lipsort_cli.reproduction.jobs import Job
from lipsort_cli.reproduction.outcomes import (
    SIDES,
    Metric,
    Outcomes,
    at,
    bound_from,
    short,
    table,
)
from lipsort_cli.reproduction.sizes import jobs_of
from lipsort_cli.reproduction.statistics import Sample
from lipsort_cli.reproduction.study import Check, Finding, Study, ordering

TRAINING = ("paper/wgan", "paper/wgan_others", "ours/wgan")
GENERATOR = "paper/generator"
DISTANCE = (
    "paper/generator_distance",
    "paper/generator_distance_groupsort",
    "ours/generator_distance",
)
TOLERANCE = 0.2
"""How much larger the sliced distance may be that counts as no worse."""
MEASURES = (
    ("sliced_w1", "sliced W1", 4),
    ("kernel_distance", "kernel distance", 4),
    ("precision", "precision", 3),
    ("recall", "recall", 3),
)


TIME = ":time"
SECONDS = {"quick": 10, "standard": 120, "full": 3600}
"""Training time of those MNIST generators that are compared after the same time."""


def follow(jobs: list[Job], out: Path, mode: str) -> list[Job]:
    """Every critic's distance between each generator and its data; GANs of the same time.

    The latter are judged by the classifier of their seed's LWGAN: it takes longer than they do.
    """
    limit = (f"training.seconds={SECONDS[mode]}", "training.steps=1000000", "data=mnist")
    timed = [
        replace(one, preset=one.preset + TIME, after=(first.directory,))
        for first in jobs
        if short(first.preset) == TRAINING[0] and first.arm["data"] == "mnist"
        for preset in TRAINING
        for one in jobs_of(preset, out, [first.seed], mode,
                           (*limit, f"evaluation.classifier='{first.directory.absolute()}'"))
    ]  # fmt: skip
    return timed + [
        replace(one, after=(job.directory,))
        for job in jobs
        if short(job.preset) == GENERATOR
        for preset in DISTANCE
        for one in jobs_of(preset, out, [job.seed], mode,
                           (f"distribution.run='{job.directory.absolute()}'",))
    ]  # fmt: skip


lower = bound_from("below")(at("lower_bound", "value"))
"""Proven lower bound of W1 between the samples compared."""


def quality(name: str) -> Metric:
    """A measure of the generated samples."""
    return at("quality", "measures", name, "generated", "value")


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """Sorting critics see more of the distance; the GroupSort GAN trains no worse than WGAN-GP."""
    critics = outcomes.arms(*DISTANCE)
    path = folder / "generator_distance.png"
    title = "A generator against its data: what each critic sees"
    dots(path, critics, lower, xlabel="proven lower bound of W1 (raw units)", title=title)
    columns = [(title, quality(name), places) for name, title, places in MEASURES]
    blocks: list[Block] = [
        table(
            "Wasserstein distance between a WGAN-GP generator and its data (CIFAR-10)",
            critics, [("lower bound", lower, 3)],
            "Proven for the samples compared; one generator a seed.",
        ),
        Picture(path, "What critics prove of the distance, one generator a seed."),
        table(
            "Generators", outcomes.arms(*TRAINING, GENERATOR), columns,
            "Empirical. Distances: smaller is better; precision and recall: larger is.",
        ),
        table(
            "Generators after the same training time (MNIST)",
            outcomes.arms(*(preset + TIME for preset in TRAINING)), columns,
            "As above; the critic's steps included, evaluation not.",
        ),
    ]  # fmt: skip
    for preset in TRAINING:
        for arm in outcomes.arms(preset):
            samples = arm.outcomes[0].directory / "figures" / "samples.png"
            if samples.is_file():
                text = f"Samples, {arm.label}, {arm.side}, first seed."
                blocks.append(Picture(samples, text))
    checks = [_sees_more(outcomes, side) for side in SIDES]
    checks += [_trains(outcomes, side, kind) for kind in ("", TIME) for side in SIDES]
    return Finding(checks, blocks)


def _sees_more(outcomes: Outcomes, side: str) -> Check:
    pairs = []
    for arm in outcomes.arms(f"{side}/generator_distance", activation="maxmin"):
        relu = outcomes.beside(arm, lower, activation="relu")
        ratio = _ratio(arm.sample(lower), relu)
        words = f"MaxMin's bound over ReLU's, less 1 {arm['model.widths']}".strip()
        pairs.append((words, ratio, Sample(dict.fromkeys(ratio.by_seed, 1.0)), 0.05))
    return ordering(
        "MaxMin critics prove a larger distance to the data than ReLU critics, by 5%",
        SIDES[side], pairs, places=2, evidence="proven",
        published="ratio 1.22 (CIFAR-10), 1.20 (STL-10)",
        reason="a generator of few steps differs in its mean, which ReLU critics see as well",
    )  # fmt: skip


def _ratio(sample: Sample, reference: Sample) -> Sample:
    common = sample.by_seed.keys() & reference.by_seed.keys()
    return Sample({s: sample.by_seed[s] / reference.by_seed[s] for s in common})


def _trains(outcomes: Outcomes, side: str, kind: str) -> Check:
    # Equal quality is the claim, which no test shows; that it is not worse by much can be.
    pairs = []
    for arm in outcomes.arms(f"{side}/wgan{kind}", data="mnist"):
        for critic in ("gp", "clip"):
            other = outcomes.sample(
                quality("sliced_w1"), f"paper/wgan_others{kind}", critic=critic, data="mnist"
            )
            allowed = Sample({s: (1 + TOLERANCE) * value for s, value in other.by_seed.items()})
            pairs.append((f"sliced W1, {1 + TOLERANCE:g} {critic} - {arm['critic']}", allowed,
                          arm.sample(quality("sliced_w1")), 0.0))  # fmt: skip
    return ordering(
        ("After the same time" if kind else "After the same steps (ours: its own)")
        + f" a sorting critic's GAN is no worse than WGAN and WGAN-GP, by {TOLERANCE:.0%}",
        SIDES[side], pairs, places=4, published="shown as samples",
        reason="a critic that iterates Björck makes fewer steps in the same time" if kind
        else "tens of steps: neither has learned more than where the ink is",
    )  # fmt: skip


GENERATOR_STUDY = Study(
    8,
    "generator",
    "A generator and its data",
    "Lipschitz critics that sort give tighter distances, and can train generators.",
    judge,
    (*TRAINING, GENERATOR),
    follow,
)
