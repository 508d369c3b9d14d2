"""`make verify`, small public tables: which are taken, and when the comparison fails."""

from __future__ import annotations

import numpy as np

from verify import tables
from verify.smalltables import SmallTable, table_of
from verify.tables import GPY, OURS, SKLEARN, Result


def _csv(rows: int) -> str:
    lines = [f"{i},{i % 7},x,{i * i},{'' if i == 3 else i / 2}" for i in range(1, rows + 1)]
    return "\n".join(["id,a,word,b,c", *lines])


def test_a_table_of_numbers_is_taken_without_counters_words_and_missing_cells() -> None:
    taken = table_of("one", _csv(20))
    assert taken is not None
    assert taken.X.shape == (19, 2)
    assert np.array_equal(taken.X[0], [1, 1])
    assert np.array_equal(taken.y[:3], [0.5, 1, 2])
    assert table_of("short", _csv(9)) is None
    assert table_of("long", _csv(300)) is None


def test_all_sides_are_compared_on_the_same_rows() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((30, 2))
    table = SmallTable("one", X, X.sum(axis=1))
    found = tables._result(OURS, table.X, table.y)
    assert found.error == ""
    assert found.rmse < 0.1
    wrong = tables._result(OURS, table.X, np.full(30, np.nan))
    assert wrong.error


def test_each_limit_is_checked() -> None:
    good = Result(rmse=1, log_density=-1, coverage=0.95)
    fine = {OURS: good, GPY: good, SKLEARN: good}
    assert tables.check({str(i): fine for i in range(200)}) == []
    better = Result(rmse=0.5, log_density=0, coverage=0.95)
    narrow = Result(rmse=1, log_density=-1, coverage=0.5)
    failures = tables.check(
        {"a": {OURS: Result(error="no"), GPY: good, SKLEARN: good}}
        | {"b": {OURS: narrow, GPY: better, SKLEARN: good}}
    )
    assert failures == [
        "only 2 tables, not 200",
        "a fails: no",
        "b: coverage 50%, and the verdict does not say so",
        "the median RMSE is worse than GPy's",
        "the median log density is worse than GPy's",
        "the mean coverage is 50.0%",
    ]
