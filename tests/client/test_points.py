"""Points are converted to an array, by name if they have names."""

from __future__ import annotations

import csv
import datetime
import io
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gpserve_client._numbers import held
from gpserve_client._points import as_array

NAMES = ("lat", "depth", "stations")
WANTED = np.array([[-20.0, 100, 30], [-21, 200, 40]])
FRAME = pd.DataFrame(WANTED, columns=list(NAMES))
SHUFFLED = FRAME[["stations", "lat", "depth"]]
ROW = namedtuple("ROW", ["depth", "stations", "lat"])


class ArrowTable:
    """Like a pyarrow table, whose `columns` are values."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.column_names = list(frame.columns)
        self.columns = [self._frame[name] for name in self.column_names]

    def __getitem__(self, name: str) -> Any:
        return self._frame[name]


def _records() -> Any:
    return SHUFFLED.to_records(index=False)


@pytest.mark.parametrize(
    "points",
    [
        list(SHUFFLED.itertuples(index=False)),
        list(SHUFFLED.itertuples()),
        [ROW(100, 30, -20), ROW(200, 40, -21)],
        np.array(_records()),
        list(_records()),
        ArrowTable(SHUFFLED),
        SHUFFLED.astype("Int64"),
        np.ma.array(WANTED, mask=False),
        {"lat": [-20, -21], "depth": pd.Series([100, 200]), "stations": (30, 40)},
    ],
)
def test_names_take_precedence_over_positions(points: Any) -> None:
    np.testing.assert_array_equal(as_array(points, NAMES), WANTED)


def test_one_point_by_name() -> None:
    for point in (ROW(100, 30, -20), _records()[0], {"lat": -20, "depth": 100, "stations": 30}):
        np.testing.assert_array_equal(as_array(point, NAMES), WANTED[0])


def test_a_tuple_with_other_names_is_read_by_position() -> None:
    tuples = list(FRAME.set_axis(["a", "b", "c"], axis=1).itertuples(index=False))
    np.testing.assert_array_equal(as_array(tuples, NAMES), WANTED)


def test_a_number_alone_stands_for_all_points() -> None:
    points = {"lat": -20, "depth": [[100, 200]], "stations": np.float64(30)}
    np.testing.assert_array_equal(
        as_array(points, NAMES), [[[-20.0, 100.0, 30.0], [-20.0, 200.0, 30.0]]]
    )


MISSING = WANTED.copy()
MISSING[1, 1] = np.nan
MASKED = np.ma.masked_invalid(np.where(np.isnan(MISSING), np.nan, WANTED))
MASKED.data[1, 1] = 200


@pytest.mark.parametrize(
    "points",
    [
        MASKED,
        list(MASKED),
        {name: MASKED[:, i] for i, name in enumerate(NAMES)},
        pd.DataFrame({"lat": [-20, -21], "depth": [100, pd.NA], "stations": [30, 40]}),
        FRAME.astype("Int64").assign(depth=pd.array([100, pd.NA], dtype="Int64")),
        {"lat": [-20, -21], "depth": [100, pd.NA], "stations": [30, 40]},
        [[-20, 100, 30], [-21, pd.NA, 40]],
        [[-20, 100, 30], [-21, None, 40]],
        [{"lat": -20, "depth": 100, "stations": 30}, {"lat": -21, "depth": pd.NA, "stations": 40}],
    ],
)
def test_missing_and_masked_values_are_nan(points: Any) -> None:
    """The service refuses NaN and says at which point it is."""
    np.testing.assert_array_equal(as_array(points, NAMES), MISSING)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], r"^there are no points$"),
        (
            {"lat": [1, 2], "depth": [1, 2, 3], "stations": 5},
            r"^the columns differ in length: lat 2, depth 3$",
        ),
        (
            {"lat": [1, 2], "depth": [[1, 2]], "stations": 5},
            r"^the columns differ in length: lat 2, depth \(1, 2\)$",
        ),
        (
            pd.concat([FRAME, FRAME["depth"]], axis=1),
            r"^duplicate features: depth$",
        ),
        (
            np.zeros(2, dtype=[("lat", float), ("depth", float)]),
            r"^missing features: stations \(found: lat, depth\)$",
        ),
        (
            ArrowTable(FRAME[["lat", "depth"]]),
            r"^missing features: stations \(found: lat, depth\)$",
        ),
        ([["a", 1, 2]], "^could not convert string to float: 'a'$"),
        ({"lat": [1], "depth": ["deep"], "stations": 5}, "^the values of depth: could not conv"),
        (WANTED + 0j, "^the points are complex numbers; the model takes real ones, such as X.real"),
        ([[1, 2, np.complex128(3)]], "complex numbers"),
        (np.array([[1, 2, 3j]], dtype=object), "are not numbers but ndarray: .*'complex'"),
        ({"lat": [1], "depth": [1j], "stations": 5}, "^the values of depth are complex"),
        (np.array([["2026-01-01"] * 3], "M8[D]"), "^the points are dates; convert them"),
        (np.array([[1, np.datetime64(1, "D"), 2]], dtype=object), "dates"),
        (FRAME.assign(depth=pd.Timestamp(0)), "^the values of depth are dates"),
        (FRAME.assign(depth=pd.Timedelta(1)), "^the values of depth are durations"),
        ([[1, datetime.date(2026, 1, 1), 2]], "dates"),
        ("points.csv", "^the points are 'points.csv', not numbers; read a table first"),
        (Path("points.csv"), "^the points are 'points.csv', not numbers"),
        (b"\1\2\3", "not numbers"),
        (bytearray(b"\1\2\3"), "not numbers"),
        ([[1, 2, 3], [4, 5]], "^the points differ in length$"),
        ([[1, 2, 3], [4, 5, [6]]], "^the points differ in length$"),
        ([[10**400, 1, 2]], "^the points have a number outside the range of float64$"),
        ({1.0, 2.0, 3.0}, "^the points are not numbers but set: "),
        ([{1.0, 2.0, 3.0}], "^the points are not numbers but list: .* not 'set'$"),
        (object(), "^the points are not numbers but object: "),
        (None, r"^the points have shape \(\); their last axis must hold the 3 features lat, depth"),
        (np.zeros((2, 4)), r"^the points have shape \(2, 4\)"),
        (np.zeros(2, "U3"), "could not convert string to float: ''"),
        (iter(()), "^there are no points$"),
    ],
)
def test_errors_name_the_cause(points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_array(held(points), NAMES)


def test_iterators_can_be_read_more_than_once() -> None:
    """A prediction is repeated when the version of the model changes meanwhile."""
    text = io.StringIO(FRAME.to_csv(index=False))
    for points in (
        (row for row in WANTED),
        map(list, WANTED),
        zip(*WANTED.T, strict=True),
        [iter(row) for row in WANTED],
        (iter(row) for row in WANTED),
        {name: iter(column) for name, column in zip(NAMES, WANTED.T, strict=True)},
        dict(enumerate(WANTED)).values(),
        FRAME.itertuples(index=False),
        csv.DictReader(text),
    ):
        kept = held(points)
        for _ in range(2):
            np.testing.assert_array_equal(as_array(kept, NAMES), WANTED)


def test_numbers_of_other_types_are_read() -> None:
    for points in (
        WANTED.astype(object),
        WANTED.astype(int),
        WANTED.astype(np.float16),
        WANTED.astype(np.longdouble),
        WANTED.astype(str),
        WANTED.astype(bytes),
        [[Decimal("-20"), Fraction(100), "30"], [-21, 200.0, True + 39]],
    ):
        np.testing.assert_array_equal(as_array(points, NAMES), WANTED)
