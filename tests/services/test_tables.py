"""One reader of tables: what predictions read trainings read, and they refuse in the same words."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from service.gpr.trainingdata import TrainingOptions
from service.jobs.trainingrows import training_data
from service.services import negotiation
from service.services.chunks import CHUNK_TILES, Answered, Chunk
from service.services.csvrecords import CSVRecords
from service.services.errors import Problem
from service.services.features import Features
from service.services.options import Options
from service.services.reading import Reader
from service.services.tables import Table
from service.services.trainingtables import table_of_csv
from service.services.writing import layout_of, written

FEATURES = Features(("a", "b"))
N = 2**40
X = [[i / 8, float(i * i)] for i in range(12)]
PLAIN = "a,b,y\n" + "".join(f"{a},{b},{i % 5}\n" for i, (a, b) in enumerate(X))


def chunks(data: str | bytes, size: int = 4, **options: Any) -> list[Chunk]:
    body = data.encode() if isinstance(data, str) else data
    return list(Table(io.BytesIO(body), FEATURES, Options(**options)).chunks(size, N))


def points(data: str | bytes, **options: Any) -> list[list[float]]:
    return [row for chunk in chunks(data, **options) for row in chunk.X.tolist()]


def train(data: str | bytes, **options: Any) -> list[list[float]]:
    body = data.encode() if isinstance(data, str) else data
    rows: list[list[float]] = training_data(
        table_of_csv(body), TrainingOptions(target="y", features=("a", "b"), **options)
    ).X.tolist()
    return rows


SAVED: dict[str, str | bytes] = {
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "decimal commas": PLAIN.replace(",", ";").replace(".", ","),
    "decimal commas and tabs": PLAIN.replace(",", "\t").replace(".", ","),
    "quotes": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.splitlines()
    ),
    "a quoted name with another delimiter": "".join(
        ('"x;z"' if i == 0 else "7") + f",{x}\n" for i, x in enumerate(PLAIN.splitlines())
    ),
    "a mark and CRLF": "\ufeff" + PLAIN.replace("\n", "\r\n"),
    "CR": PLAIN.replace("\n", "\r"),
    "CRCRLF": PLAIN.replace("\n", "\r\r\n"),
    "a line that says the delimiter": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "a delimiter that is said, decimal commas": (
        "\ufeff\nsep=\t\n" + PLAIN.replace(",", "\t").replace(".", ",")
    ),
    "NumPy's header": "# " + PLAIN,
    "blanks": PLAIN.replace(",", " , "),
    "names of rows": "".join(f"{i or ''},{x}\n" for i, x in enumerate(PLAIN.splitlines())),
    "a last delimiter": PLAIN.replace("\n", ",\n"),
    "strange separators in a cell": PLAIN.replace("\n", ",p\x0cq\u2028r\x85s\x1e\n"),
    "cp1252 in another column": PLAIN.replace("\n", ",ä°\n").encode("cp1252"),
}


@pytest.mark.parametrize("how", SAVED)
def test_tables_as_people_save_them(how: str) -> None:
    data = SAVED[how]
    assert points(data) == X
    assert train(data) == X


HEAD = "a,b,y\n" + "3,4,5\n" * 12
CELLS = {
    "": "b is empty",
    "NA": "b is missing: 'NA'",
    "deep": "b is not a number: 'deep'",
    "1_0": "b is not a number: '1_0'",
    "1e999": "b is not finite: '1e999'",
    '"1,500"': "b is not a number: '1,500'; it may be 1.500 or 1500: write it as one of them",
    '"1,5"': "b is not a number: '1,5'; write decimals with a point, or say decimal=comma",
    '"1,234,567.8"': "'1,234,567.8'; write it without signs between thousands",
    "1.234.567": "'1.234.567'; write it without signs between thousands",
    "1\xa0500": r"'1\xa0500'; write it without signs between thousands",
    "−20": "b is not a number: '−20'; write the minus sign as '-'",
    "20\udcb0": "b is not a number: '20°'; it is not UTF-8: save the table as UTF-8",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_bad_cell_is_told_in_the_same_words(cell: str) -> None:
    data = f"{HEAD}1,{cell},2\n".encode("utf-8", "surrogateescape")
    for read in (points, train):
        with pytest.raises(Problem) as refused:
            read(data)
        assert refused.value.detail.startswith("line 14: b ")
        assert CELLS[cell] in refused.value.detail
        assert refused.value.where == {"line": 14, "column": "b"}


REFUSED: dict[str, tuple[str | bytes, int, str]] = {
    "nothing": ("", 422, "the table is empty"),
    "UTF-16": (PLAIN.encode("utf-16"), 400, "looks like UTF-16"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-be"), 400, "looks like UTF-16"),
    "xlsx": (b"PK\x03\x04\x14\x00", 400, "a zip, xlsx or ods file, not CSV: save the table as CSV"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1", 400, "an xls file, not CSV"),
    "Parquet": (b"PAR1\x15\x04", 400, "a Parquet file"),
    "gzip": (b"\x1f\x8b\x08\x00", 400, "send 'Content-Encoding: gzip'"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04", 400, "is compressed"),
    "JSON": ('{"points": [[1, 2]]}', 400, "read it as application/json"),
    "a page": ("<!doctype html>\n", 400, "is HTML or XML"),
    "an array": (b"\x93NUMPY\x01\x00", 400, "/predict reads it as application/x-npy"),
    "pandas without names": ("0,1,2\n" + "3,4,5\n" * 12, 422, "as pandas writes the header"),
    "pandas without names, with an index": (",0,1\n0,4,5\n", 422, "as pandas writes the header"),
    "an open quote": ('a,b,y\n1,2,"' + "3,4,5\n" * 30_000, 400, "a quote opened on line 2 may"),
    "blank lines": ("a,b,y\n1,2,3\n" + "\n" * 99_999, 400, "of the first 10009 lines are blank"),
    "only blank lines": ("\r\n" * 99_999, 400, "of the first 10001 lines are blank"),
    "a delimiter in the rows only": (
        "a,b,y\n1,2,3,\n",
        422,
        "line 2: 4 cells, the table has 3 columns; the last one is empty: end the line without",
    ),
    "row names without a name": (
        "a,b,y\nr1,1,2,3\n",
        422,
        "if the first ones are names of rows, begin the header with a delimiter",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_files_are_refused_in_the_same_words(what: str) -> None:
    data, status, reason = REFUSED[what]
    details = set()
    for read in (points, train):
        with pytest.raises(Problem) as refused:
            read(data)
        assert refused.value.status == status
        assert reason in refused.value.detail
        details.add(refused.value.detail)
    assert len(details) == 1 or "pandas" in reason  # which shows names of the model


def test_blank_lines_between_rows_are_no_rows() -> None:
    rows = "1,2\n\n\n\n" * 20_000
    assert len(points("a,b\n" + rows, size=1024)) == 20_000


class Endless(io.RawIOBase):
    """The same bytes again and again."""

    def __init__(self, piece: bytes, head: bytes = b"") -> None:
        self.given = 0
        self._piece, self._head = piece, head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece, self._head = (self._head or self._piece)[: len(buffer)], b""
        buffer[: len(piece)] = piece
        self.given += len(piece)
        return len(piece)


WIDE = {
    "cells of two digits": b"11," * 4000 + b"1\n",
    "long words": b"1,2," + b"x" * 12_000 + b"\n",
    "a row without an end": b'"\n",' * 4000,
}


@pytest.mark.parametrize("what", WIDE)
@pytest.mark.parametrize("on_bad_row", ["fail", "nan", "drop"])
def test_rows_without_end_are_refused_early(what: str, on_bad_row: Any) -> None:
    body = io.BytesIO(b"a,b,c\n" + WIDE[what] * 1000)
    with pytest.raises(Problem, match="the rows are too long") as refused:
        list(Table(body, FEATURES, Options(on_bad_row=on_bad_row)).chunks(1024, N))
    assert refused.value.status == 413
    assert body.tell() < 5 << 20


def test_long_rows_come_in_parts_of_a_tile() -> None:
    rows = "".join(f"{i},2,{'x' * 1700}\n" for i in range(1500))
    parts = [len(chunk.X) for chunk in chunks("a,b,c\n" + rows, size=256 * CHUNK_TILES)]
    assert sum(parts) == 1500
    assert set(parts[:-1]) == {256}
    assert parts[-1] < 1024


def test_a_hundred_million_line_breaks_are_refused_at_the_first() -> None:
    body = Endless(b"\n" * 4096)
    with pytest.raises(Problem, match="lines are blank"):
        list(CSVRecords(body))  # type: ignore[arg-type]
    assert body.given < 100_000


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("1.5,2,3", "line 1 is numbers, not a header: 1.5, 2, 3. Begin the table with"),
        ("5.1,3.5,1.4,setosa", "line 1 is numbers, not a header: 5.1, 3.5, 1.4, setosa"),
        ("0,1,2", "as pandas writes the header of a table without names"),
    ],
)
def test_a_training_table_needs_a_header(first: str, reason: str) -> None:
    with pytest.raises(Problem) as refused:
        training_data(table_of_csv((f"{first}\n" * 20).encode()), TrainingOptions())
    assert reason in refused.value.detail
    assert refused.value.where == {"line": 1}


def test_years_may_be_names() -> None:
    table = "2019,2020,2021,y\n" + "".join(f"{i},{i % 3},{i % 4},{i % 5}\n" for i in range(20))
    data = training_data(table_of_csv(table.encode()), TrainingOptions())
    assert data.feature_names == ("2019", "2020", "2021")


def test_an_index_that_was_saved_twice_is_no_input() -> None:
    table = ",Unnamed: 0,a,y\n" + "".join(f"{i},{i},{i % 3},{i % 5}\n" for i in range(20))
    data = training_data(table_of_csv(table.encode()), TrainingOptions())
    assert data.feature_names == ("a",)


def test_the_decimal_sign_can_be_said() -> None:
    table = 'a;b;y\n1,500;2,250;1\n"2,500";3,250;2\n'
    with pytest.raises(Problem, match=r"it may be 1\.500 or 1500"):
        points(table)
    expected = [[1.5, 2.25], [2.5, 3.25]]
    assert points(table, decimal="comma") == expected
    long = table + "0;1;2\n" * 12
    with pytest.raises(Problem, match=r"it may be 1\.500 or 1500"):
        train(long)
    assert train(long, decimal="comma")[:2] == expected
    with pytest.raises(Problem, match=r"'1\.500'; it may be 1,500 or 1500"):
        points("a;b\n1,5;2\n" + "1,5;2\n" * 200 + "1.500;2\n")
    with pytest.raises(Problem, match=r"'2\.5'; write decimals with a comma as elsewhere"):
        points("a;b\n1,5;2\n1,5;2\n2.5;2\n", decimal="comma")


def test_an_answer_has_the_decimal_sign_of_its_table() -> None:
    reader = Reader(FEATURES, 4, N, N, N)
    source = reader.table(io.BytesIO(b"a;b\n1,5;2\n"), Options(), counted=False)
    assert source.commas
    layout = layout_of(source, Options(), FEATURES)
    answers = (
        Answered(chunk, np.array([[0.25, 1e-9]]), np.array([False])) for chunk in source.chunks
    )
    text = b"".join(written(layout, answers, negotiation.CSV)).decode()
    assert text == "a;b;mean;variance\n1,5;2;0,25;1e-09\n"


OTHER_NAMES = "lon;y;latitude\n" + "".join(f"{b};{i};{a}\n" for i, (a, b) in enumerate(X))


@pytest.mark.parametrize(
    "columns", ["latitude,lon", "a=latitude,b=lon", " b = lon , a = latitude", '"latitude","lon"']
)
def test_columns_are_chosen_by_name(columns: str) -> None:
    assert points(OTHER_NAMES, columns=columns) == X


def test_a_header_of_numbers_is_one_when_columns_are_chosen() -> None:
    assert points("0,1\n5,6\n", columns="1,0") == [[6, 5]]
    assert points("a,b,c\n1,2,3\n", columns="b=c") == [[1, 3]]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("latitude", "`columns` names 1 column, but the model has 2 features: a, b; or say"),
        ("a,b,c", "`columns` names 3 columns, but the model has 2 features"),
        ("a=latitude,c=lon", "'c' is not a feature; features: a, b"),
        ("a=latitude,lon", "'lon' is not a feature"),
        ("latitude,north", "missing columns north (found: lon, y, latitude)"),
        ("", "missing columns a, b (found: lon, y, latitude); for a column of another name, say "),
    ],
)
def test_columns_that_are_not_there(columns: str, reason: str) -> None:
    with pytest.raises(Problem) as refused:
        points(OTHER_NAMES, columns=columns)
    assert reason in refused.value.detail


@pytest.mark.parametrize("bad", [[], [0], [3, 4, 5, 6], list(range(1, 30)), [29]])
def test_bad_rows_that_are_dropped_leave_no_gap(bad: list[int]) -> None:
    rows = [f"{i},{-i}" for i in range(30)]
    wrong = ["1,NA" if i in bad else row for i, row in enumerate(rows)]
    good = [row for i, row in enumerate(rows) if i not in bad]
    given = chunks("a,b\n" + "\n".join(wrong), on_bad_row="drop")
    wanted = chunks("a,b\n" + "\n".join(good))
    assert [chunk.X.tolist() for chunk in given] == [chunk.X.tolist() for chunk in wanted]
    assert [chunk.cells for chunk in given] == [
        [line.split(",") for line in (chunk.text or b"").decode().splitlines()] for chunk in wanted
    ]
    dropped = [each for chunk in given for each in chunk.dropped]
    assert dropped == [(i, f"line {i + 2}: b is missing: 'NA'") for i in bad]


def test_a_table_without_a_good_row_is_refused() -> None:
    with pytest.raises(Problem, match="no row can be predicted: line 2: b is missing"):
        chunks("a,b\n1,NA\n", on_bad_row="drop")


@pytest.mark.parametrize("options", [{}, {"extrapolated": True}, {"on_bad_row": "nan"}])
def test_an_answer_that_is_sent_again(options: dict[str, Any]) -> None:
    added = {"extrapolated": "extrapolated", "on_bad_row": "error"}
    name = next((added[option] for option in options), "variance")
    body = io.BytesIO(f"a,b,{name}\n1,2,3\n".encode())
    asked = Options(**options)
    source = Reader(FEATURES, 4, N, N, N).table(body, asked, counted=False)
    with pytest.raises(Problem, match=f"the table has columns '{name}' already") as refused:
        written(layout_of(source, asked, FEATURES), iter(()), negotiation.CSV)
    assert refused.value.where == {"column": name}
