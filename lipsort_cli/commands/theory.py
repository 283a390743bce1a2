"""``lipsort theory``: checks the theory's claims here and now, and draws two of them."""

from __future__ import annotations

import re
from datetime import datetime
from os.path import exists
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lipsort_cli.errors import UsageError

_NO_FOLDER = re.compile(r"=|^(claim|lemma|theorem|proposition)?[ _-]?\d[\d.]*$", re.IGNORECASE)
"""What is an override of other commands, or the number of a theorem: 1, 2.3, theorem3."""


def theory(
    folder: Annotated[
        Path | None,
        Argument(metavar="[FOLDER]", help="Where to write; outputs/theory/DATE/TIME if left out."),
    ] = None,
    quick: Annotated[
        bool, Option("--quick", help="Train and sample less: seconds, not half a minute.")
    ] = False,
) -> int:
    """Check the theory's claims: what ReLU cannot represent, and MaxMin can.

    That ReLU cannot represent |x| and MaxMin does, that the sorting activations can be written in
    terms of each other, and that the lattice construction takes given values exactly. Most of it in
    rational numbers, without rounding. Writes results.json and figures/. Exits with 1 if a claim
    does not hold.
    """
    from lipsort_cli.console import console, follow_up, results_line, show_table
    from lipsort_cli.files import make_folder, write_json
    from lipsort_cli.finding import usable_folder
    from lipsort_cli.runs import RECORD, RunRecord

    if folder is not None and _NO_FOLDER.search(folder.name) and not exists(folder):
        raise UsageError(
            f"found {folder}; allowed: --quick, and one folder to write to, whose name is no "
            "number; claims are checked all together"
        )
    now = datetime.now()
    default = Path("outputs/theory", now.strftime("%Y-%m-%d"), now.strftime("%H-%M-%S-%f"))
    directory = default if folder is None else usable_folder("FOLDER", str(folder))
    if exists(directory / RECORD):
        raise UsageError(f"{directory} holds a run already; choose another folder")
    from lipsort_cli.theory.claims import check_all, train_all
    from lipsort_cli.theory.figures import draw_all

    make_folder(directory)
    with RunRecord.recording(directory, "theory", seed=0, device="cpu"):
        console.print("training the counterparts of |x|")
        bends = train_all(quick=quick)
        claims = check_all(
            quick=quick, bends=bends, progress=lambda name: console.print(f"checked {name}")
        )
        write_json(directory / "results.json", {"claims": [claim._asdict() for claim in claims]})
    header = ["claim", "holds", "evidence", "how"]
    rows = [(one.claim, "yes" if one.holds else "NO", one.evidence, one.detail) for one in claims]
    show_table(header, rows, title="Theory, checked", left=header, show_lines=True)
    failed = [claim.name for claim in claims if not claim.holds]
    if failed:
        console.print(f"These do not hold: {', '.join(failed)}")
    draw_all(directory / "figures", bends)
    results_line("Results", directory, "results.json", "figures/")
    follow_up("lipsort", "estimate-wasserstein", "experiment=wasserstein_absolute_value")
    return 1 if failed else 0
