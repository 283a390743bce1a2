"""2: clean error and the proven bound of the Lipschitz constant, activation by constraint."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lipsort_cli.directed_text import at_most
from lipsort_cli.reports.blocks import Picture, Table
from lipsort_cli.reproduction.draw import dots
from lipsort_cli.reproduction.outcomes import Outcome, Outcomes
from lipsort_cli.reproduction.statistics import above, below, greater
from lipsort_cli.reproduction.study import Check, Finding, Study

ARMS = (
    ("unconstrained", "classification", "none"),
    ("dropout", "classification_dropout", "none"),
    ("Jacobian penalty", "classification_jacobian", "none"),
    ("Björck, loose then fine-tuned", "classification_bjorck", "bjorck"),
    ("orthonormal", "classification", "orthonormal"),
    ("Parseval", "classification", "parseval"),
    ("spectral", "classification", "spectral"),
    ("L-infinity", "classification_linf", "linf"),
)
"""Label, preset, constraint; the bound of L-infinity is from L-infinity to L-infinity."""


def error(outcome: Outcome) -> float:
    """Clean test error in percent (empirical)."""
    return 100 * (1 - float(outcome.results["clean_accuracy"]))


def certified(outcome: Outcome, eps: str) -> float:
    """Share of test points certified at ``eps``, in percent (proven)."""
    return 100 * float(outcome.results["certified_accuracy"]["eps"][eps])


def bound(outcome: Outcome) -> float:
    """Proven bound of the Lipschitz constant."""
    return float(outcome.results["lipschitz_bound"])


def judge(outcomes: Outcomes, folder: Path) -> Finding:
    """Constraints hold to rounding, nothing else bounds; GroupSort keeps larger margins."""
    rows, errors, bounds = [], [], []
    for label, preset, constraint in ARMS:
        for activation in ("maxmin", "relu"):
            arm = {"activation": activation, "constraint": constraint}
            wrong = outcomes.sample(error, preset, **arm)
            constant = outcomes.sample(bound, preset, **arm)
            worst = at_most(max(constant.values), 5) if constant.values else "-"
            rows.append([label, activation, wrong.text(2), worst])
            errors.append((f"{label}, {activation}", wrong))
            bounds.append((f"{label}, {activation}", constant))
    dots(
        folder / "classification_error.png",
        errors,
        xlabel="clean test error (%)",
        title="MNIST, 500 images a class: what a constraint costs",
    )
    dots(
        folder / "classification_bound.png",
        bounds,
        xlabel="proven bound of the Lipschitz constant",
        title="MNIST: what is known of the network",
        log=True,
    )
    table = Table(
        "MNIST classification: clean error and bound",
        ["training", "activation", "test error (%)", "Lipschitz bound"],
        rows,
        "Error: empirical, mean ± standard deviation over seeds. Bound: proven, the largest of the "
        "seeds, L2 to L2, L-infinity to L-infinity in the last rows.",
        keys=2,
    )
    pictures = [
        Picture(
            folder / "classification_error.png",
            "Clean error of every kind of training, MaxMin beside ReLU.",
        ),
        Picture(
            folder / "classification_bound.png",
            "Proven bound, logarithmic: 1 where weights are constrained; without a constraint, "
            "dropout and the penalty included, tens to thousands.",
        ),
    ]
    return Finding([_bounded(outcomes), _unbounded(outcomes), _further(outcomes)],
                   [table, *pictures])  # fmt: skip


def _bounded(outcomes: Outcomes) -> Check:
    exact = []
    for label, preset, constraint in ARMS:
        if constraint in ("none", "parseval"):
            continue
        values = [bound(outcome) for outcome in outcomes.of(preset, constraint=constraint)]
        exact.append((f"bound at most 1 + 1e-4 in all runs, {label}",
                      bool(values) and max(values) <= 1 + 1e-4))  # fmt: skip
    parseval = outcomes.sample(bound, "classification", constraint="parseval", activation="maxmin")
    return Check(
        "Constraints hold: the bound is 1, of Björck trained loosely as well once fine-tuned",
        f"Parseval, which is only near: {parseval.text(4)}",
        (("bound, Parseval", below(parseval, 1.2)),),
        published="1 by construction",
        exact=tuple(exact),
    )


def _unbounded(outcomes: Outcomes) -> Check:
    tests, words = [], []
    for label, preset, constraint in ARMS[:3]:
        found = outcomes.sample(bound, preset, constraint=constraint, activation="relu")
        tests.append((f"bound, {label}, ReLU", above(found, 5)))
        words.append(f"{label} {found.text(1)}")
    return Check(
        "Without a constraint nothing useful is known: dropout and a Jacobian penalty included",
        "; ".join(words),
        tuple(tests),
        published="not bounded",
    )


def _further(outcomes: Outcomes) -> Check:
    tests, words = [], []
    for label, preset, constraint in ARMS[3:5]:
        sides = {
            activation: {"activation": activation, "constraint": constraint}
            for activation in ("maxmin", "relu")
        }
        for eps in ("0.3", "0.5", "1.0"):
            sort, relu = (
                outcomes.sample(partial(certified, eps=eps), preset, **arm)
                for arm in sides.values()
            )
            tests.append(
                (f"points certified at {eps}, MaxMin - ReLU, {label}", greater(sort, relu))
            )
        wrong = [outcomes.sample(error, preset, **arm).text(2) for arm in sides.values()]
        words.append(
            f"{label}: certified at 1.0 MaxMin {sort.text(1)}%, ReLU {relu.text(1)}% "
            f"(clean error {wrong[0]}% and {wrong[1]}%)"
        )
    return Check(
        "Under an orthonormal constraint MaxMin is certified further than ReLU",
        "; ".join(words),
        tuple(tests),
        published="clean error alone, MaxMin's the smaller, on all of MNIST",
    )


CLASSIFICATION = Study(
    2,
    "classification",
    "MNIST classification: activation by constraint",
    "Constrained GroupSort networks classify as well as others, with a constant that is known.",
    judge,
    (
        "classification",
        "classification_dropout",
        "classification_bjorck",
        "classification_jacobian",
        "classification_linf",
    ),
)
