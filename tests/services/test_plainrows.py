"""Two ways to read a table and to write its answer: many rows at once, and cell by cell."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.services import negotiation
from service.services.chunks import CHUNK_TILES, Answered, Chunk
from service.services.errors import Problem
from service.services.features import Features
from service.services.options import Options
from service.services.reading import Reader
from service.services.tables import Table
from service.services.writing import layout_of, written

FEATURES = Features(("a", "b"))
SIZE = 4
N = 2**40

NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers().map(str)
ODD_CELLS = st.sampled_from(
    [
        *("-0", "+1", ".5", "5.", "01", " 2", "3 ", "1_0", "1e999", "1e-999", "1E5", "", "NA"),
        *("nan", "1,5", "1.500", '"4"', '"4\n"', '"', "[1]", "null", "9" * 400, "\u0661", "é"),
        *("\udcff", "\0"),
    ]
)
LONG = b"0.1234567890123456,0.2345678901234567\n"
"""As long as its numbers in memory, which are kept for the second reading."""

HEADERS = ["a,b", "b,x,a", "x,b,a,y", "a;b", "x;b;a", "1.5,2"]
OPTIONS = [
    {},
    {"on_bad_row": "nan", "extrapolated": True},
    {"on_bad_row": "drop"},
    {"decimal": "comma"},
]


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Tables with up to three odd cells and odd lines, and line ends of any kind."""
    header = draw(st.sampled_from(HEADERS))
    delimiter = ";" if ";" in header else ","
    width = header.count(delimiter) + 1
    comma = delimiter == ";" and draw(st.booleans())
    n = draw(st.integers(0, 30))
    values = draw(st.lists(NUMBERS, min_size=1, max_size=7))
    cells = [values[i % len(values)] for i in range(n * width)]
    if comma:
        cells = [cell.replace(".", ",") for cell in cells]
    for _ in range(draw(st.integers(0, 3)) if n else 0):
        cells[draw(st.integers(0, n * width - 1))] = draw(ODD_CELLS)
    lines = [delimiter.join(cells[i * width : (i + 1) * width]) for i in range(n)]
    odd_lines = st.sampled_from(["", "1", "1,2,3,4,5", "\r", "sep=;", "\ufeff1,2"])
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines))), draw(odd_lines))
    start = draw(st.sampled_from(["", "\ufeff", f"sep={delimiter}\n", "\n"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = start + end.join([header, *lines]) + draw(st.sampled_from(["", end, end * 2]))
    return text.encode("utf-8", "surrogateescape")


def answer(
    data: bytes, options: dict[str, Any], limit: int, counted: bool
) -> tuple[list[int], bytes] | Problem:
    """The rows of each chunk and the CSV answer, or why there is none."""
    asked, rows = Options(**options), []
    reader = Reader(FEATURES, SIZE, limit, N, N)

    def answers(chunks: Iterator[Chunk]) -> Iterator[Answered]:
        for chunk in chunks:
            rows.append(len(chunk.X))
            sums = np.stack([chunk.X[:, 0], -chunk.X[:, 1] / 3], axis=1)
            sums[list(chunk.errors)] = np.nan
            yield Answered(chunk, sums, chunk.X[:, 0] > 1)

    try:
        source = reader.table(io.BytesIO(data), asked, counted=counted)
        layout = layout_of(source, asked, FEATURES)
        answered = answers(source.chunks)
        return rows, b"".join(written(layout, answered, negotiation.CSV))
    except Problem as problem:
        return problem


def cell_by_cell(data: bytes, options: dict[str, Any], limit: int, counted: bool) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "_plain_chunks", lambda *_: iter(()))
        return answer(data, options, limit, counted)


@given(tables(), st.sampled_from(OPTIONS), st.sampled_from([9, N]), st.booleans())
@example(b"a,b\n" + b"1,2\n" * 12 + b"1,2,3\n4\n" + b"1,2\n" * 12, {}, N, False)
@example(b"a,b\n" + b"1,2\n" * 8 + b"\n" * 8, {}, N, False)
@example(b"a,b\n" + b"1,2\n" * 7 + b"1,2", {}, N, False)
@example(b"a,b\n" + b"1,2\n" * 9 + b"\xef\xbb\xbf1,2\n", {}, N, False)
@example(b"a,b\n" + LONG * 12, {}, N, False)
@example(b"a,b\n" + LONG * 9 + b"1,2\n" * 8 + LONG * 9 + b"1,2", {}, N, False)
@example(
    b"\xef\xbb\xbfx,b,a\r\n" + b"\xc3\xa9," * 1 + LONG[:-1] + b"\r\n" + (b"y," + LONG) * 20,
    {},
    N,
    False,
)
@example(b"a,b\n" + LONG * 13 + b'0.25,"0.5"\n' + LONG * 9, {}, N, False)
@example(b"a,b\n" + LONG * 13 + b"0.25\n", {}, N, False)
@example(b"a,b\n" + LONG * 13 + b"0.25\n", {"on_bad_row": "nan"}, N, True)
@example(LONG * 17, {}, N, False)
def test_both_ways_give_the_same_answer(
    data: bytes, options: dict[str, Any], limit: int, counted: bool
) -> None:
    given = answer(data, options, limit, counted)
    wanted = cell_by_cell(data, options, limit, counted)
    if isinstance(wanted, Problem):
        assert isinstance(given, Problem), given
        assert (given.status, given.detail, given.where) == (
            wanted.status,
            wanted.detail,
            wanted.where,
        )
    else:
        assert given == wanted


def test_plain_tables_are_read_at_once() -> None:
    for header in HEADERS[:-1]:
        rows = header + "\n" + header.translate(str.maketrans("abxy", "1234")) + "\n"
        chunks = list(Table(io.BytesIO(rows.encode()), FEATURES).chunks(SIZE, N))
        assert [(chunk.X.tolist(), chunk.cells) for chunk in chunks] == [([[1.0, 2.0]], None)]


def test_long_rows_come_in_parts_of_a_tile_in_both_ways() -> None:
    data = b"a,b,c\n" + (b"1,2," + b"x" * 900 + b"\n") * 3000
    parts = [len(c.X) for c in Table(io.BytesIO(data), FEATURES).chunks(256 * CHUNK_TILES, N)]
    assert set(parts[:-1]) == {256}
    assert sum(parts) == 3000
    assert 256 <= parts[-1] < 2048


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=40), st.integers(-30, 30))
def test_numbers_are_written_as_repr_writes_them(words: list[bytes], exponent: int) -> None:
    bits = [struct.unpack("<d", word)[0] for word in words]
    values = np.array([*bits, *(10.0**exponent * (i + 1) / 7 for i in range(9))])
    chunk = Chunk(np.zeros((len(values), 2)), text=b"1,2\n" * len(values))
    answers = iter([Answered(chunk, np.stack([values, -values], axis=1), values > 0)])
    source = Reader(FEATURES, SIZE, N, N, N).table(
        io.BytesIO(b"a,b\n1,2\n"), Options(), counted=False
    )
    text = b"".join(written(layout_of(source, Options(), FEATURES), answers, negotiation.CSV))
    wanted = [f"1,2,{value!r},{-value!r}" for value in values.tolist()]
    assert text.decode().splitlines()[1:] == wanted
