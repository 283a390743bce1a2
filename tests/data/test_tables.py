"""Tables: every way of writing the same numbers reads the same; what is ambiguous is asked."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from lipsort_cli.config.distributions import FilesDistribution
from lipsort_cli.config.validate import out_of_range
from lipsort_cli.data.samples import Samples, load_pair, load_samples
from lipsort_cli.errors import UsageError

TRUTH = [[0.5, 0.25], [0.125, 2.0], [3.0, 0.2]]


def read(folder: Path, text: str | bytes, name: str = "p.csv", **options: Any) -> Samples:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_samples(str(path), options=FilesDistribution(**options))


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n0.5,0.25\n0.125,2.0\n3.0,0.2\n",
        "0.5,0.25\n0.125,2.0\n3.0,0.2\n",
        "x,y\r\n0.5,0.25\r\n0.125,2.0\r\n3.0,0.2\r\n",
        "\ufeffx,y\n0.5,0.25\n0.125,2.0\n3.0,0.2",
        "\ufeffx,y\n0.5,0.25\n0.125,2.0\n3.0,0.2".encode("utf-16-le"),
        '"x","y"\n"0.5","0.25"\n"0.125","2.0"\n"3.0","0.2"\n',
        '"the x, first",y\n0.5,0.25\n0.125,2.0\n3.0,0.2\n',
        "x;y\n0,5;0,25\n0,125;2,0\n3;0,2\n",
        "0,5;0,25\n0,125;2,0\n3,0;0,2\n",
        "x;y\n0.5;0.25\n0.125;2.0\n3.0;0.2\n",
        "x\ty\n0.5\t0.25\n0.125\t2.0\n3.0\t0.2\n",
        "x\ty\n0,5\t0,25\n0,125\t2,0\n3,0\t0,2\n",
        "0,5 0,25\n0,125 2,0\n3,0 0,2\n",
        "# x y\n# made by me\n0.5 0.25\n0.125 2.0\n3.0 0.2\n",
        "# made by me, today\nx,y\n0.5,0.25\n\n0.125,2.0\n# and so on\n3.0,0.2\n",
        "  0.5   0.25\n 0.125 2.0\n 3.0   0.2  \n",
        'x,y\n"0,5","0,25"\n"0,125","2,0"\n"3,0","0,2"\n',
        ",x,y\n0,0.5,0.25\n1,0.125,2.0\n2,3.0,0.2\n",
        '"",x,y\nrow a,0.5,0.25\nrow b,0.125,2.0\nrow c,3.0,0.2\n',
        "Unnamed: 0,x,y\n0,0.5,0.25\n1,0.125,2.0\n2,3.0,0.2\n",
        ",0,1\n0,0.5,0.25\n1,0.125,2.0\n2,3.0,0.2\n",
        ";x;y\n0;0,5;0,25\n1;0,125;2,0\n2;3,0;0,2\n",
        '"x" "y"\n"1" 0.5 0.25\n"2" 0.125 2.0\n"3" 3.0 0.2\n',  # of R, as are the next two
        '"","x","y"\n"1",0.5,0.25\n"2",0.125,2.0\n"3",3.0,0.2\n',
        "x\ty\nrow a\t0.5\t0.25\nrow b\t0.125\t2.0\nrow c\t3.0\t0.2\n",
        "x,y\r0.5,0.25\r0.125,2.0\r3.0,0.2\r",
        "# x;y\n0.5;0.25\n0.125;2.0\n3.0;0.2\n# end\n",
        "2019,x\n+0.5,2.5e-1\n.125,2.\n3E0,0.2\n",
        "x|y\n0.5|0.25\n0.125|2.0\n3.0|0.2\n",
        "sep=;\nx;y\n0,5;0,25\n0,125;2,0\n3;0,2\n",
        "x;1,y;2\n0.5,0.25\n0.125,2.0\n3.0,0.2\n",
        'x, y\n0.5, "0.25"\n0.125, "2.0"\n3.0, "0.2"\n',
        "x,y,\n0.5,0.25,\n0.125,2.0,\n3.0,0.2,\n",
        "x;y\n0.5;0.25;\n0.125;2.0;\n3.0;0.2;\n",
        "0.5,0.25,\n0.125,2.0,\n3.0,0.2,\n",
    ],
)
def test_the_same_numbers_however_written(tmp_path: Path, text: str | bytes) -> None:
    assert read(tmp_path, text).exact(slice(None)).tolist() == TRUTH


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x\n1_000\n2\n", "line 2, column 'x': found '1_000'"),
        ("x;y\n1_000,5;2\n3;4\n", "line 2, column 'x': found '1_000,5'"),
        ("x,y\n1e1_0,2\n3,4\n", "line 2, column 'x': found '1e1_0'"),
        ("x,y\n\u0663,2\n3,4\n", "line 2, column 'x'"),
        ("x,y\n\u22121,2\n3,4\n", "line 2, column 'x'"),
        ("x,y\n1 000,2\n3 500,4\n", "found '1 000'"),
        ("x,y\n5%,2\n6%,4\n", "found '5%'"),
        ("x y\n1 1e400\n3 4\n", "line 2, column 'y': found '1e400', a number too large for bin"),
        ("% x y\n0.5 0.25\n1 2\n", "line 2: found 2 values, line 1 has 3"),
        ("x y\n1 2 3\n4 5\n", "found 2 values|found 3 values"),
        ("x,y\n0.5,1,2\n1.5,3,4\n", "found 2 names of columns above lines of 3; allowed"),
        ("x,y\n3,1,2\n5,3,4\n", "found 2 names of columns above lines of 3"),
        ("x,y\na,1,2\n,3,4\n", "found 2 names of columns above lines of 3"),
        ("x\ty\n1\t2\n\t\n3\t4\n", "line 3, column 'x': found a gap"),
        ("x\ty\n1\t2\n \t \n3\t4\n", "line 3, column 'x': found a gap"),
        ('"a" "b" "c"\n"1" 0.5 "" 2\n"2" 1.5 "" 3\n', "line 2, column 'b': found a gap"),
        ('x,t\n1,"a\n\n#b"\n# c\n3,d\ny,e\n', "line 7, column 'x': found 'y'"),
        ('x,t\n1,"a\nb"\n3\n', "line 4: found 1 value, line 1 has 2"),
        ('x,t\n1,"a\n2,b\n3,c\n', "line 2: a cell in quotation marks .*: no mark closes it"),
        ('x,t\n1,"a\n2,b\n3,"c\n', "line 2: a cell in quotation marks cannot be read"),
        ("x,t\n" + "1,2\n" * 300 + '1,"' + "a\n" * 70_000 + '"\n', "line 302: a cell in quotation"),
        ("x,y\n1,2\n3,0x10\n", "line 3, column 'y': found '0x10'"),
        ("x,y\n1,2\n# c\n\n3,abc\n", "line 5, column 'y': found 'abc'"),
        ("x,y\n1,True\n3,0.5\n", "column 'y': found 'True'"),
        ("x,y\n1,1.234.567\n3,2\n", "found '1.234.567'; .*remove separators of thousands"),
        ("PK\3\4x,y\n", "found an archive or a spreadsheet; save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "found an archive or a spreadsheet; save it as CSV"),
        ("PAR1x,y\n", "found a Parquet file; give it a name that ends in .parquet"),
        ("BZh91\n", "found a compressed file; unpack it first"),
        ("x,y\n1,2020-01-01\n3,2020-01-02\n", "column 'y': found '2020-01-01'"),
        ("x,y\n1,2\n\n3\n", "line 4: found 1 value, line 1 has 2"),
        ("x,y\n1,2\n3,4,5\n", "line 3: found 3 values, line 1 has 2"),
        ("x,y\n1,\n3,4\n", "line 2, column 'y': found a gap; distribution.gaps=drop"),
        ("x,y\n1,NA\n3,4\n", "line 2, column 'y': found a gap; distribution.gaps=drop"),
        ("x,y\n1,NaN\n3,4\n", "line 2, column 'y': found a gap; distribution.gaps=drop"),
        ("x,y\n1,inf\n3,4\n", "inf in row 0"),
        ("x,y\n1,1e-400\n3,4\n", "too small for binary64"),
        ("0,1\n0.5,0.25\n1,2\n", "line 1 reads 0, 1: names of columns, or values?"),
        ("0\n0.5\n0.25\n", "names of columns, or values?"),
        ("2019,2020\n0.5,0.25\n1.5,2.5\n", "names of columns, or values?"),
        ("1.5,cat\n2.5,dog\n", "names of columns, or values?"),
        ("0,5\n1,5\n0,25\n", "one number with a decimal comma, or two?"),
        ('x,y\n"1,234",5\n"2,345",6\n', "is the comma a decimal sign?"),
        ('x,y\n"1,5",5.5\n"2,345",6\n', "is the comma a decimal sign?"),
        ("x;y\n1.234,5;1\n2,5;3\n", "is the comma a decimal sign?|found '1.234,5'"),
        ("x;y\n1,234;5,678\n2,345;6,789\n", "is the comma a decimal sign?"),
        ("x;y\n1.234;5\n2.345;6\n", r"is the point a decimal sign\? .*decimal=point"),
        ("x;y\n" + "1;2\n" * 300 + "1,5;2\n", "line 302.*decimal=comma reads decimal commas"),
        ("1.5,NA,3\n4,5,6\n7,8,9.5\n", "line 1, column 2: found a gap"),
        ("na\n1.5\n2\n", "names of columns, or values?"),
        ("x,y\n1,?\n3,4\n", "column 'y': found a gap; distribution.gaps=drop"),
        ("x,y\n1,#N/A\n3,4\n", "column 'y': found a gap"),
        ("400.0,400.5,401.0\n0.3,0.2,0.1\n0.5,0.1,0.7\n", "names of columns, or values?"),
        ("2019,2020,2021\n12,15,30\n3,4,9\n", "names of columns, or values?"),
        ("My table\nx,y\n1,2\n3,4\n", "line 2: found 1 value, line 1 has 2"),
        ("index,x\n7,0.5\n3,2\n5,4\n", "an index, or values?"),
        ("id,x\n100,0.5\n101,2\n102,4\n", "an index, or values?"),
        ("x,n\n" + "".join(f"{i % 3}.5,{i}\n" for i in range(12)), r"columns=\[x\] leaves it out"),
        ("id,a b,c\n0,1.5,2\n1,2.5,3\n2,3.5,7\n", r"=\['a b',c\]\" leaves it out"),
        ("x,x\n1,2\n3,4\n", "more than one column 'x'"),
        ("x,,z\n1,2,3\n3,4,5\n", "column 2 has no name"),
        ("x,y\n1,2\n3,4\n".encode("utf-16-le"), "line 1: found a character NUL.*save it as UTF-8"),
        ("x,y\n1,2\n3,4\n".encode("utf-32"), "line 1: found a character NUL"),
        ("x,y\n1,2\n3,4\0\n", "line 3: found a character NUL"),
        ("x,y\n1,2\n#N/A,3\n3,4\n", "line 3, column 'x': found a gap; distribution.gaps=drop"),
        ("x,y\n#DIV/0!,2\n3,4\n", "line 2: found '#DIV/0!'.* a comment, or a row"),
        ("x;y\n1,5;2\n#ff0000;4\n", "line 3: found '#ff0000'.* put this value in quotation marks"),
        ("x,y\n1,2\n3,1\xa0234\n", "remove separators of thousands"),
        ("x,y\n1,2\n3,1'234'567.5\n", "remove separators of thousands"),
        ("gr\xf6\xdfe,y\n1,2\n3,4\n".encode("latin-1"), "cannot be read.*; save it as UTF-8"),
    ],
)
def test_what_is_no_number_or_ambiguous_is_refused(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("first", "then", "words"), [("True", "3", "'3' below truth"), ("3", "false", "'false' below")]
)
def test_truth_values_and_numbers_of_one_column_are_refused_in_different_batches_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, then: str, words: str
) -> None:
    monkeypatch.setattr("lipsort_cli.data.delimited._CELLS", 1)
    text = "x,y\n" + f"0.5,{first}\n" * 32 + f"1.5,NA\n2.5,{then}\n"
    with pytest.raises(UsageError, match=f"line 35, column 'y': found {words}"):
        read(tmp_path, text, gaps="drop")


@pytest.mark.parametrize(
    ("text", "options", "values"),
    [
        ("0,1\n0.5,0.25\n1,2\n", {"header": "names"}, [[0.5, 0.25], [1, 2]]),
        ("0,1\n0.5,0.25\n", {"header": "values"}, [[0, 1], [0.5, 0.25]]),
        ("0,5\n1,5\n", {"decimal": "comma"}, [[0.5], [1.5]]),
        ("0,5\n1,5\n", {"decimal": "point"}, [[0, 5], [1, 5]]),
        ("x,y,z\n1,a,3\n4,b,6\n", {"columns": ["z", "x"]}, [[3, 1], [6, 4]]),
        ("1.5,2.5,3.5\n4.5,5.5,6.5\n", {"columns": ["3", "1"]}, [[3.5, 1.5], [6.5, 4.5]]),
        ('x,t\n1,"a\n#b"\n3,"\n\n#"\n4,c\n', {"columns": ["x"]}, [[1], [3], [4]]),
        ('t\tx\n"a\n#b,"\t1\n"c"\t3\n', {"columns": ["x"]}, [[1], [3]]),
        ('"a\n#b" x\n"c\n\nd" 1\n"e f"  3 \n', {"columns": ["x"]}, [[1], [3]]),
        ('#"\nx,t\n1,2\n# "a\n3,4\n', {"columns": ["x"]}, [[1], [3]]),
        ("x\ty\n1\t2\n\t\n3\t4\n", {"gaps": "drop"}, [[1, 2], [3, 4]]),
        ("x,y\n1,\n3,4\nNA,5\n6,7\n", {"gaps": "drop"}, [[3, 4], [6, 7]]),
        ("x,y\n1,\n3,4\n6,7\n", {"columns": ["x"]}, [[1], [3], [6]]),
    ],
)
def test_options_settle_it(
    tmp_path: Path, text: str, options: dict[str, Any], values: list[list[float]]
) -> None:
    assert read(tmp_path, text, **options).exact(slice(None)).tolist() == values


def test_a_name_of_one_column_may_have_blanks(tmp_path: Path) -> None:
    samples = read(tmp_path, "body mass\n0.5\n1\n3\n")
    assert samples.names == ("body mass",) and samples.exact(slice(None)).tolist() == [
        [0.5], [1], [3]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("x,y\n1.5,2\n#3,4\n5,6\n", "3"),
        ("x\n1.5\n\n3\n# 4\n5\n\n", "3, 5"),
        ("# x\n1.5\n3\n", ""),
        ("x,y\n1.5,2\n# 7,and so on\n5,6\n#of three,and,more\n", "3, 5"),
        ("x;y\n1,5;2\n#2,5;4\n5;6\n", "3"),
        ("x y\n1.5 2\n#next block\n5 6\n", "3"),
        ('x\n"1.5\n\n"\n\n3\n', "5"),
    ],
)
def test_lines_that_are_passed_over_are_said(
    tmp_path: Path, text: str, numbers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, text)
    said = capsys.readouterr().out
    assert said == "" if not numbers else said.endswith(f"are skipped: {numbers}\n")


@pytest.mark.parametrize("text", ["x,y\n#1,2\n#3,4\n", "\n#1,2\n#3,4\n"])
def test_comments_are_said_where_nothing_else_is(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for header in ("auto", "names"):
        with pytest.raises(UsageError):
            read(tmp_path, text, header=header)
        assert capsys.readouterr().out.endswith(" 2, 3\n")


def test_a_first_column_of_row_names_needs_no_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for first in ((0, 1, 2), (1, 2, 3), ("a", "b", "a")):
        text = "x,y\n" + "".join(f"{name},{i * i}.5,{-i}\n" for i, name in enumerate(first))
        assert read(tmp_path, text).exact(slice(None)).tolist() == [[0.5, 0], [1.5, -1], [4.5, -2]]
        assert "the column without a name is an index, and left out" in capsys.readouterr().out


def test_no_column_is_taken_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"distribution\.columns: found 'x' twice; allowed: each"):
        read(tmp_path, "x,y\n1,2\n3,4\n", columns=["x", "y", "x"])
    assert [*out_of_range(FilesDistribution(p="a", q="b", columns=[]))] == [
        "columns: found []; allowed: at least one element"
    ]


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"distribution\.columns: found 'z'; .* columns x, y"):
        read(tmp_path, "x,y\n1,2\n3,4\n", columns=["z"])


def test_a_counting_column_is_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("id,x,y\n0,0.5,2\n1,0.7,3\n2,0.1,2\n", "1,0.5,2\n2,0.7,3\n3,0.1,2\n"):
        with pytest.raises(UsageError, match="counts the rows: an index, or values"):
            read(tmp_path, text)
    text = "id,x,y\n0,0.5,2\n1,0.7,3\n2,0.1,2\n"
    assert read(tmp_path, text, columns=["id", "x", "y"]).dim == 3
    assert read(tmp_path, text, columns=["x", "y"]).dim == 2
    assert read(tmp_path, "index,x,y\n0,0.5,2\n1,0.7,3\n2,0.1,2\n").dim == 2
    assert "the column index is an index, and left out" in capsys.readouterr().out


def test_long_files_are_read_in_batches(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((70_000, 3))
    for name, text in (("savetxt", {}), ("csv", {"delimiter": ","})):
        np.savetxt(tmp_path / f"{name}.txt", values, **text)
        samples = load_samples(str(tmp_path / f"{name}.txt"))
        assert np.array_equal(samples.exact(slice(None)), values)  # 18 digits lose nothing


# --- Parquet --------------------------------------------------------------------------------------


def write(path: Path, **columns: Any) -> str:
    parquet.write_table(pyarrow.table(columns), path)
    return str(path)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i4", "u4", "i8", "u8", "?"])
def test_parquet_of_every_dtype(tmp_path: Path, dtype: str) -> None:
    values = np.array([0, 1, 1, 0], dtype)
    samples = load_samples(write(tmp_path / "a.parquet", x=values, y=values))
    assert samples.exact(slice(None)).tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]


def test_parquet_gaps_types_and_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.parquet", x=[1.0, None, 3.0], y=[1, 2, 3])
    with pytest.raises(UsageError, match="row 2, column 'x': found a gap"):
        load_samples(path)
    dropped = load_samples(path, options=FilesDistribution(gaps="drop"))
    assert dropped.exact(slice(None)).tolist() == [[1, 1], [3, 3]]
    assert "1 of 3 rows have gaps" in capsys.readouterr().out
    path = write(tmp_path / "b.parquet", x=[1.0, 2.0], when=np.array([0, 1], "M8[ns]"))
    with pytest.raises(UsageError, match="column 'when': found values of type timestamp"):
        load_samples(path)
    path = write(tmp_path / "c.parquet", x=[1.0, 2.0], name=["a", "b"])
    with pytest.raises(UsageError, match="column 'name': found 'a'"):
        load_samples(path)
    path = write(tmp_path / "d.parquet", x=[Decimal("0.5"), Decimal("1.25")])
    assert load_samples(path).exact(slice(None)).tolist() == [[0.5], [1.25]]
    coded = pyarrow.array([1.0, 2.0, 1.0]).dictionary_encode()
    assert load_samples(write(tmp_path / "e.parquet", x=coded)).high == 2
    indexed = pyarrow.table({"x": [0.5, 0.25], "key": [10, 20]}).replace_schema_metadata(
        {"pandas": '{"index_columns": ["key"]}'}
    )
    parquet.write_table(indexed, tmp_path / "f.parquet")
    assert load_samples(str(tmp_path / "f.parquet")).exact(slice(None)).tolist() == [[0.5], [0.25]]
    assert "the index key is no column" in capsys.readouterr().out


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array(["0.5", None, "3"]),
        pyarrow.array(["0.5", None, "3"], pyarrow.large_string()),
        pyarrow.array(["0.5", None, "3"]).dictionary_encode(),
        pyarrow.array([Decimal("0.5"), None, Decimal("3")]),
        pyarrow.array([0.5, None, 3.0]).cast(pyarrow.float32()),
        pyarrow.array(np.array([0.5, np.nan, 3], "f2")),
        pyarrow.array([0.5, None, 3.0]).dictionary_encode(),
        pyarrow.nulls(3),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_gaps_of_every_type(tmp_path: Path, column: pyarrow.Array) -> None:
    path = write(tmp_path / "a.parquet", x=column, y=[1, 2, 4])
    row = 1 if column.null_count == 3 else 2
    with pytest.raises(UsageError, match=f"row {row}, column 'x': found a gap"):
        load_samples(path)
    if row == 2:
        dropped = load_samples(path, options=FilesDistribution(gaps="drop"))
        assert dropped.exact(slice(None)).tolist() == [[0.5, 1], [3, 4]]


def test_parquet_text_with_decimal_commas(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", x=["0,5", "3"], y=[1.5, 2])
    with pytest.raises(UsageError, match=r"found '0,5'.*decimal=comma reads decimal commas"):
        load_samples(path)
    samples = load_samples(path, options=FilesDistribution(decimal="comma"))
    assert samples.exact(slice(None)).tolist() == [[0.5, 1.5], [3, 2]]


@pytest.mark.parametrize("values", [[0.5, 1.5], [0, 1]])
def test_parquet_of_two_columns_of_one_name(tmp_path: Path, values: list[Any]) -> None:
    columns = pyarrow.table([pyarrow.array(values)] * 3, names=["x", "x", "y"])
    parquet.write_table(columns, tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="found more than one column 'x'; rename them"):
        load_samples(str(tmp_path / "a.parquet"))


def test_a_counting_column_of_parquet_is_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", index=[3, 1, 2, 0], x=[0.5, 1.5, 2.5, 4])
    with pytest.raises(UsageError, match=r"column index counts the rows.*\.columns=\[x\] leaves"):
        load_samples(path)
    assert load_samples(path, options=FilesDistribution(columns=["x"])).dim == 1


# --- two tables -----------------------------------------------------------------------------------


def pair(p: Path | str, q: Path | str, **options: Any) -> tuple[Samples, Samples]:
    given = {"p_weights": None, "q_weights": None, **options}
    return load_pair(FilesDistribution(p=str(p), q=str(q), **given))


def test_columns_are_matched_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.csv").write_text("x,y\n1,20\n3,40\n")
    (tmp_path / "q.csv").write_text("y,x\n20,1\n40,3\n")
    write(tmp_path / "q.parquet", y=[20, 40], x=[1, 3])
    np.savetxt(tmp_path / "q.txt", [[20, 1], [40, 3]], header="y x")
    for q in ("q.csv", "q.parquet", "q.txt"):
        first, second = pair(tmp_path / "p.csv", tmp_path / q)
        assert first.exact(slice(None)).tolist() == second.exact(slice(None)).tolist()
        assert "columns put in the order of" in capsys.readouterr().out
    (tmp_path / "z.csv").write_text("x,z\n1,20\n3,40\n")
    with pytest.raises(UsageError, match=r"matched by name; distribution.columns=\[x\] compares"):
        pair(tmp_path / "p.csv", tmp_path / "z.csv")
    first, second = pair(tmp_path / "p.csv", tmp_path / "z.csv", columns=["x"])
    assert first.exact(slice(None)).tolist() == second.exact(slice(None)).tolist() == [[1], [3]]
    (tmp_path / "n.csv").write_text("1.5,20\n3,40\n")
    pair(tmp_path / "p.csv", tmp_path / "n.csv")
    assert "compared by position" in capsys.readouterr().out
