"""Errors can be pickled, since the workers of a process pool send them to their parent."""

from __future__ import annotations

import inspect
import pickle

import pytest
from gpserve_client import JobFailed, ServiceError, VersionChanged, errors

PROBLEM = {"title": "Unprocessable", "detail": "bad row", "row": 7, "request_id": "a-1"}
ERRORS = [
    ServiceError(422, PROBLEM, "3"),
    VersionChanged(412, PROBLEM),
    JobFailed("job 1 failed: no"),
]


def test_every_error_class_is_tested() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass)}
    here = {kind for kind in kinds if kind.__module__ == errors.__name__}
    assert here == {type(error) for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: Exception) -> None:
    error.add_note("while the third pool ran")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
