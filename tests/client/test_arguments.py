"""Arguments of a client: numbers must be in range, lists can be any iterable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gpserve_client import AsyncClient, Client
from gpserve_client._requests import train

BAD: list[tuple[str, Any]] = [
    ("rows", 0),
    ("rows", -5),
    ("rows", 2.5),
    ("concurrency", 0),
    ("attempts", 0),
    ("attempts", "3"),
    ("timeout", 0),
    ("timeout", -1.0),
    ("timeout", float("nan")),
]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(("name", "value"), BAD)
def test_numbers_out_of_range_are_refused(kind: type[Any], name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*{value!r}$"):
        kind("http://localhost", **{name: value})


def test_numbers_in_range_are_accepted() -> None:
    rows: Any = np.int64(1)
    Client("http://localhost", rows=rows, concurrency=1, attempts=1, timeout=None).close()


@pytest.mark.parametrize("hold", [list, tuple, np.array, pd.Index, pd.Series, iter])
def test_features_in_any_iterable(hold: Any) -> None:
    features: Iterable[str] = hold(["depth", "stations"])
    call = train({"depth": [1]}, "mag", {"features": features, "ard": np.bool_(False)}, "key")
    assert call.params == {"target": "mag", "features": "depth,stations", "ard": "false"}
