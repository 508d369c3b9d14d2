"""Points as a notebook holds them: a model answers the same whatever they are in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest

from service.gpr import GPR
from service.model import FloatArray

ROWS = [[-20, 181, 500, 30], [-21, 182, 90, 60]]


def test_lists_arrays_and_frames(gpr: GPR) -> None:
    names = list(gpr.feature_names)
    want = gpr.predict(np.array(ROWS, np.float64))
    shuffled = pd.DataFrame(ROWS, columns=names)[names[::-1]].assign(place="Fiji")
    for points in (
        ROWS,
        tuple(map(tuple, ROWS)),
        np.array(ROWS),
        np.array(ROWS, np.float32),
        np.array(ROWS, object),
        shuffled,
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS, columns=names, dtype="Int64"),
        polars.DataFrame({name: shuffled[name].to_numpy() for name in names}),
    ):
        np.testing.assert_array_equal(gpr.predict(points), want)
    np.testing.assert_array_equal(gpr.gradient(ROWS), gpr.gradient(np.array(ROWS, np.float64)))
    assert gpr.samples(ROWS, 3, 1).shape == (3, 2)
    assert gpr.covariance(shuffled).shape == (2, 2)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (pd.DataFrame(ROWS, columns=["lat", "long", "depth", "n"]), "stations is missing or repe"),
        (pd.DataFrame(ROWS, columns=["lat", "lat", "long", "depth"]), "lat, stations is missing"),
        (ROWS[0], r"must have shape \(n, 4\), not \(4,\)"),
        ([[1, 2, 3]], r"must have shape \(n, 4\), not \(1, 3\)"),
        ([["manual", 1, 2, 3]], "not an array of numbers: .*; a category has its code"),
        ([[1, 2, 3, 4j]], "not an array of numbers"),
        (np.zeros((1, 4), "M8[D]"), "not an array of numbers"),
        ([[1, 2], [3]], "not an array of numbers"),
    ],
)
def test_what_is_refused(gpr: GPR, points: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        gpr.predict(points)


def test_arrays_are_not_copied(gpr: GPR, X: FloatArray) -> None:
    assert gpr._checked(X) is X
