"""Names in another encoding of letters are the same names, in every place that matches any."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from lipsort_cli.config.data import TableData
from lipsort_cli.config.distributions import FilesDistribution
from lipsort_cli.data.letters import as_written
from lipsort_cli.data.options import Options
from lipsort_cli.data.samples import load_pair
from lipsort_cli.data.tables import open_table
from lipsort_cli.data.tabular import load_table
from lipsort_cli.data.taken import Taken, columns_of
from lipsort_cli.data.unseen import _classes
from lipsort_cli.errors import UsageError

ONE, TWO = (normalize(form, "gr\u00f6\u00dfe") for form in ("NFC", "NFD"))


def write(path: Path, names: str, rows: int = 6, end: str = "") -> str:
    lines = [f"{3 * j * j}.5,{7 - j}.25{end and end.split()[j % 2]}" for j in range(rows)]
    path.write_text("\n".join([names, *lines]) + "\n", encoding="utf-8")
    return str(path)


def test_a_name_that_is_there_stays_and_so_does_one_that_may_be_two() -> None:
    assert as_written([TWO, "x"], [ONE, "y"]) == [ONE, "x"]
    assert as_written([ONE, TWO], [ONE, TWO]) == [ONE, TWO]
    both = [normalize("NFC", "\u212b\u0323"), normalize("NFD", "\u212b\u0323")]
    other = "\u212b\u0323"
    assert other not in both and as_written([other], both) == [other]
    assert as_written(["A"], ["a"]) == ["A"]  # case is not encoding


def test_columns_of_new_data() -> None:
    taken = Taken((2,), ("no", "yes"), (ONE, "z"))
    names, notes = columns_of(["z", TWO], "new.csv", taken, None)
    assert names == [TWO, "z"]
    assert "another encoding of letters" in notes[0]


def test_columns_of_two_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    p = write(tmp_path / "p.csv", f"{ONE},z")
    q = write(tmp_path / "q.csv", f"{TWO},z")
    first, second = load_pair(FilesDistribution(p=p, q=q))
    assert np.array_equal(first.rows(np.arange(6)), second.rows(np.arange(6)))
    assert "another encoding of letters" in " ".join(capsys.readouterr().out.split())


def test_columns_that_an_option_names(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    write(path, f"{ONE},z")
    assert open_table(path, Options()).positions([TWO], "data.columns") == [0]


@pytest.mark.parametrize("label", [ONE, TWO])
def test_the_label_and_its_neighbours(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "t.csv", f"a,b,{ONE}", 40, ",no ,yes")
    found = load_table(TableData(path=path, label=label))
    assert found.features == ("a", "b")
    with pytest.raises(UsageError, match="which is the label"):
        load_table(TableData(path=path, label=label, columns=["a", TWO]))


def test_names_of_classes() -> None:
    taken = Taken((2,), (ONE, "z"))
    assert _classes([TWO, "z", ""], taken, "labels").tolist() == [0, 1, -1]
