"""``lipsort theory``: checks the theory's claims here and now, and draws two of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from lipsort_cli.cli.pages import page
from lipsort_cli.errors import UsageError

_HELP = """Usage: lipsort theory [--quick] [FOLDER]

Checks what the theory says of norm-constrained networks: that ReLU cannot represent |x| and
MaxMin does, that the sorting activations can be written in terms of each other, and that the
lattice construction takes given values exactly. Most of it in rational numbers, without rounding.

Writes results.json and figures/ into FOLDER (outputs/theory/DATE/TIME). Exits with 1 if a claim
does not hold. Takes about half a minute; --quick trains and samples less, in a few seconds.
"""


def main(arguments: list[str]) -> int:
    """``lipsort theory [--quick] [FOLDER]``: 0 if every claim holds, else 1."""
    if any(text in ("--help", "-h") for text in arguments):
        page().print(_HELP, markup=False, end="")
        return 0
    quick = "--quick" in arguments
    folders = [text for text in arguments if text != "--quick"]
    if len(folders) > 1 or any(text.startswith("-") or "=" in text for text in folders):
        raise UsageError(f"found {' '.join(folders)}; allowed: --quick, and one folder")
    now = datetime.now()
    default = Path("outputs/theory", now.strftime("%Y-%m-%d"), now.strftime("%H-%M-%S-%f"))
    return run(Path(folders[0]) if folders else default, quick)


def run(directory: Path, quick: bool = False) -> int:
    """Check, draw and write into ``directory``."""
    from rich.table import Table

    from lipsort_cli.console import console, follow_up, results_line
    from lipsort_cli.files import make_folder
    from lipsort_cli.runs import RECORD, RunRecord, write_json
    from lipsort_cli.theory.claims import check_all, train_all
    from lipsort_cli.theory.figures import draw_all

    if (directory / RECORD).exists():
        raise UsageError(f"{directory} holds a run already; choose another folder")
    make_folder(directory)
    with RunRecord.recording(directory, "theory", seed=0, device="cpu"):
        console.print("training the counterparts of |x|", markup=False)
        bends = train_all(quick=quick)
        claims = check_all(
            quick=quick,
            bends=bends,
            progress=lambda name: console.print(f"checked {name}", markup=False),
        )
        write_json(directory / "results.json", {"claims": [claim._asdict() for claim in claims]})
    table = Table(title="Theory, checked", show_lines=True)
    for column in ("claim", "holds", "evidence", "how"):
        table.add_column(column)
    for claim in claims:
        table.add_row(claim.claim, "yes" if claim.holds else "NO", claim.evidence, claim.detail)
    console.print(table)
    failed = [claim.name for claim in claims if not claim.holds]
    if failed:
        console.print(f"These do not hold: {', '.join(failed)}", markup=False)
    draw_all(directory / "figures", bends)
    results_line("Results", directory, "results.json", "figures/")
    follow_up("lipsort", "estimate-wasserstein", "experiment=wasserstein_absolute_value")
    return 1 if failed else 0
