"""Many rows are cut into parts, none of which would be computed another way than the whole."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.services.arrays import header_bytes, read_array
from service.services.body import Spool
from service.services.chunks import row_ranges
from service.services.features import Features
from service.services.tables import Table

FEATURES = Features(("a", "b"))
ROWS = st.integers(1, 40)
SIZE = st.integers(1, 12)


@given(st.integers(0, 200), SIZE)
def test_spans_hold_all_rows_in_order_and_none_is_short(n: int, size: int) -> None:
    cuts = list(row_ranges(n, size))
    assert [row for a, b in cuts for row in range(a, b)] == list(range(n))
    assert all(a % size == 0 for a, _ in cuts)
    assert all(size <= b - a < 2 * size for a, b in cuts) or n < size


def table(n: int) -> bytes:
    return b"a,b\n" + b"".join(b"%d,%d\n" % (i, -i) for i in range(n))


@given(ROWS, SIZE)
def test_tables_and_arrays_are_cut_alike(n: int, size: int) -> None:
    lengths = [b - a for a, b in row_ranges(n, size)]
    chunks = list(Table(io.BytesIO(table(n)), FEATURES).chunks(size, n))
    assert [len(chunk.X) for chunk in chunks] == lengths
    X = np.concatenate([chunk.X for chunk in chunks])
    assert np.array_equal(X[:, 0], np.arange(n))
    body = header_bytes((n, 2)) + X.tobytes()
    source = read_array(Spool(io.BytesIO(body)), FEATURES, size=size, limit=n)
    assert [len(chunk.X) for chunk in source.chunks] == lengths


@given(ROWS, SIZE)
def test_cuts_in_bytes_are_those_of_the_rows(n: int, size: int) -> None:
    data = table(n)
    cuts = list(Table(io.BytesIO(data), FEATURES, count_bytes=True).cuts(size, n))
    assert [cut.rows for cut in cuts] == [b - a for a, b in row_ranges(n, size)]
    assert b"".join(data[cut.start : cut.stop] for cut in cuts) == data[len(b"a,b\n") :]
    assert [cut.lines for cut in cuts] == [1 + a for a, _ in row_ranges(n, size)]
