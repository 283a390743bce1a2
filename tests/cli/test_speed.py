"""What a user waits for: the first line, and modules that a run has no use for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_RUN = """
import sys
from lipsort_cli import console
said = console.console.print
def first(*words, **options):
    said(*words, **options)
    console.console.print = said
    print("torch" in sys.modules, file=sys.stderr)
console.console.print = first
from lipsort_cli.app import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def test_a_run_speaks_before_torch_and_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    words = ["train", "training.epochs=1", "model.widths=[8]", "evaluation.attack.points=0"]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words, "hydra.run.dir=run"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Run directory: run\n")
    before, *_, modules = done.stderr.splitlines()
    assert before == "False"
    # Each takes as long as training on the digits does.
    unused = {"torch._dynamo", "sklearn", "scipy.stats", "sympy", "pandas"}
    assert not unused & set(modules.split())
    assert "torch" in modules.split()


def test_help_and_completion_load_neither_typer_nor_more_than_they_show() -> None:
    script = "import sys; from lipsort_cli.app import main; main(); print(*sys.modules)"
    heavy = {"typer", "torch", "numpy", "hydra", "omegaconf", "yaml"}
    for words, more in ((["--help"], set()), ([], {"rich"})):
        shell = {} if words else {"_LIPSORT_COMPLETE": "zsh", "COMP_LINE": "lipsort train seed"}
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            env=os.environ | shell,
            capture_output=True,
            text=True,
            check=True,
        )
        assert not (heavy | more) & set(done.stdout.split()), words
