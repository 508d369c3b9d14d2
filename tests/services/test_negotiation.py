"""Which answer a caller gets for what it accepts."""

from __future__ import annotations

import pytest

from service.services.errors import Problem
from service.services.negotiation import CSV, JSON, NDJSON, NPY, answer_type

HTTPURLCONNECTION = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/json;indent=4", JSON),
        ("text/csv; charset=utf-8", CSV),
        ("text/csv;header=absent", CSV),
        ("TEXT/CSV", CSV),
        ("text/csv;q=0.5, application/x-npy", NPY),
        ("application/x-npy;q=0.1, application/x-ndjson;q=.2", NDJSON),
        ("application/json;q=0, text/csv", CSV),
        ("text/*", CSV),
        (HTTPURLCONNECTION, JSON),
        (FIREFOX, JSON),
    ],
)
def test_what_is_accepted(accept: str, expected: str) -> None:
    assert answer_type(accept) == expected


@pytest.mark.parametrize(
    "accept", ["image/png", "application/json;q=0", "application/vnd.ms-excel"]
)
def test_what_is_not_offered(accept: str) -> None:
    with pytest.raises(Problem, match="none of the types in Accept is available") as refused:
        answer_type(accept)
    assert refused.value.status == 406
