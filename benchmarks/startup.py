"""How long `lipsort --help` and completion take, against importing what they are made with.

    python benchmarks/startup.py            (about a minute on an idle core)

Medians of interleaved runs, as ratios to `python -c "import typer, rich"`; exit code 1 where one
is above 1.6.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

MOST = 1.6
BASE = "import typer, rich"
HELP = "import sys; sys.argv = ['lipsort', '--help']; from lipsort_cli.app import main; main()"
COMPLETE = "from lipsort_cli.app import main; main()"
LINES = {
    "lipsort --help": (HELP, {}),
    "completion of a command": (COMPLETE, {"COMP_LINE": "lipsort tr"}),
    "completion of a key": (COMPLETE, {"COMP_LINE": "lipsort train training."}),
    "completion of an option": (COMPLETE, {"COMP_LINE": "lipsort train activation="}),
}
"""What is measured: the program, and the line that is completed."""


def seconds(code: str, line: dict[str, str]) -> float:
    """Processor seconds of a Python process that runs ``code``."""
    shell = {"_LIPSORT_COMPLETE": "zsh", **line} if line else {}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | shell, stdout=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure, print a table, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=21)
    runs = parser.parse_args().runs
    found: dict[str, list[float]] = {name: [] for name in ("", *LINES)}
    for _ in range(runs):
        found[""].append(seconds(BASE, {}))
        for name, (code, line) in LINES.items():
            found[name].append(seconds(code, line))
    base = statistics.median(found.pop(""))
    print(f"python -c {BASE!r}: {base:.3f} s of processor time, median of {runs}")
    ratios = {name: statistics.median(times) / base for name, times in found.items()}
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f} times")
    return int(max(ratios.values()) > MOST)


if __name__ == "__main__":
    sys.exit(main())
