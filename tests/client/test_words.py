"""The words of categorical features become codes, and numbers in arrays are codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from gpserve_client import Client
from gpserve_client._points import as_array
from gpserve_client._requests import train

from service.app import create_app
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.helpers.inprocess import in_process

NAMES = ("gear", "wt", "cyl")
CATEGORIES = {"gear": ("automatic", "manual"), "cyl": ("4", "6", "8")}
ROWS = [["automatic", 1.5, "4"], ["manual", 2.5, "6"]]
CODES = np.array([[0, 1.5, 0], [1, 2.5, 1]])
FRAME = pd.DataFrame(ROWS, columns=list(NAMES))

POINTS: dict[str, Any] = {
    "rows": ROWS,
    "objects": np.array(ROWS, dtype=object),
    "frame": FRAME,
    "frame of categories": FRAME.astype({"gear": "category"}),
    "numbers that are words": FRAME.astype({"cyl": "float"}),
    "integers that are words": FRAME.astype({"cyl": "int"}),
    "mapping": {"gear": ("automatic", "manual"), "wt": [1.5, 2.5], "cyl": [4, np.int64(6)]},
    "records": FRAME.to_records(index=False),
    "mappings": FRAME.to_dict("records"),
    "codes": CODES,
    "codes in single precision": CODES.astype(np.float32),
}


@pytest.mark.parametrize("what", POINTS)
def test_points_with_words(what: str) -> None:
    np.testing.assert_array_equal(as_array(POINTS[what], NAMES, CATEGORIES), CODES)


def test_booleans() -> None:
    words = {"fresh": ("FALSE", "TRUE")}
    for column in ([True, False], np.array([True, False]), ["true", "FALSE"]):
        assert as_array({"fresh": column}, ["fresh"], words).tolist() == [[1], [0]]


def test_one_word_stands_for_all_points() -> None:
    points = {"gear": "manual", "wt": [1, 2], "cyl": 8}
    assert as_array(points, NAMES, CATEGORIES).tolist() == [[1, 1, 2], [1, 2, 2]]


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (
            FRAME.replace("manual", "stick"),
            "gear must be one of 'automatic', 'manual', not 'stick'",
        ),
        (FRAME.replace("manual", None), "gear must be one of 'automatic', 'manual', not nan"),
        ([[1, 2.5, 4]], "gear must be one of 'automatic', 'manual', not 1"),
        (CODES + 0.5, r"gear must be a word, or .* its code, from 0 \('automatic'\) to 1 "),
        (ROWS[0][:2], r"shape \(2,\); their last axis must hold the 3 features"),
        ([["manual", "heavy", 4]], "could not convert string to float: 'heavy'"),
    ],
)
def test_points_that_are_refused(points: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        as_array(points, NAMES, CATEGORIES)


def test_training_data_with_words() -> None:
    columns = {"gear": ["manual", None], "wt": [1.5, float("nan")], "mpg": [20, 30]}
    options = {"categorical": ["gear"], "drop_missing": True, "leave_out": ("a", "b")}
    request = train(columns, "mpg", options, "key")
    assert request.content == b"gear,wt,mpg\nmanual,1.5,20\n,nan,30\n"
    assert request.params == {
        "target": "mpg", "categorical": "gear", "drop_missing": "true", "leave_out": "a,b",
    }  # fmt: skip


def test_the_service_answers_words() -> None:
    app = create_app(Runtime(Settings(model_class="tests.helpers.toys:Cars")))
    with in_process(app.wsgi_app) as url, Client(url) as gp:
        manual = gp.model().categories["gear"][1]
        frame = FRAME.replace("manual", manual)
        assert gp.predict(frame).mean.tolist() == [1.5, 112.5]
        assert gp.predict(frame.iloc[1]).mean == 112.5
        gradient = gp.predict([manual, 2.5, 6], gradient=True).gradient
        assert gradient is not None
        assert gradient.mean.tolist() == [0, 1, 0]
        answer = gp.predict(CODES)
        assert answer.mean.tolist() == [1.5, 112.5]
        assert answer.extrapolated is not None
        assert not answer.extrapolated.any()
