"""What each adversary finds against one network, beside its certificate, in one Markdown table.

    python benchmarks/adversaries.py [RUN] [--points 200] [--eps 1.58 ...] [KEY=VALUE ...]

RUN is a run of `lipsort train`; without one the preset mnist_l2 is trained into --folder, with the
overrides given (a run that lies there is taken, an interrupted one gone on with). Every method
works alone on the same points; AutoAttack needs the extra `attacks`. Set LIPSORT_DATA to a folder
that holds MNIST. It fails where an adversary leaves less than is certified, or more than clean.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

from lipsort_cli import app
from lipsort_cli.files import read_json

METHODS = {
    "PGD, 100 steps, 5 starts": ("pgd", "steps=100", "restarts=5"),
    "DeepFool": ("deepfool",),
    "AutoAttack, standard": ("autoattack",),
}


def trained(folder: Path, overrides: list[str]) -> Path:
    """The preset's finished run in ``folder``."""
    run = folder / "mnist_l2"
    if (run / "run.json").exists():
        app.run(["train", f"resume={run}"])
    else:
        app.run(["train", "experiment=mnist_l2", f"hydra.run.dir={run}", *overrides])
    return run


def main() -> None:
    """Attack with each method, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--eps", type=float, nargs="+", default=[0.5, 1.0, 1.58])
    parser.add_argument("--folder", type=Path, default=Path("outputs/adversaries"))
    options, overrides = parser.parse_known_args()
    run = options.run or trained(options.folder, overrides)
    keys = [str(eps) for eps in options.eps]
    lines = []
    for name, (method, *rest) in METHODS.items():
        began = time.process_time()
        app.run([
            "attack", str(run), f"points={options.points}", f"methods=[{method}]",
            f"eps=[{','.join(keys)}]", *rest,
        ])  # fmt: skip
        found = read_json(run / "attack.json")
        left = found["attacked_accuracy"]["eps"]
        lines.append((name, [left[key] for key in keys], time.process_time() - began))
    certified = found["certified_accuracy"]["eps"]
    with (run / "attack.csv").open() as file:
        clean = [row["label"] == row["prediction"] for row in csv.DictReader(file)]
    print(f"\n{options.points} test points, {found['norm']}; accuracy in per cent\n")
    print(f"| | {' | '.join(keys)} | CPU seconds |\n| --- |{' ---: |' * (len(keys) + 1)}")
    share = f"{100 * sum(clean) / len(clean):.1f}"
    print(f"| clean | {' | '.join([share] * len(keys))} | |")
    for name, values, seconds in lines:
        print(f"| {name} | {' | '.join(f'{100 * v:.1f}' for v in values)} | {seconds:.0f} |")
    print(f"| certified | {' | '.join(f'{100 * certified[key]:.1f}' for key in keys)} | |")
    for number, key in enumerate(keys):
        left = [values[number] for _, values, _ in lines]
        assert certified[key] <= min(left) and max(left) <= sum(clean) / len(clean), key


if __name__ == "__main__":
    main()
