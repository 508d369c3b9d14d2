"""Arguments of a client: numbers must be in range, lists can be any iterable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_type_hints

import httpx2
import numpy as np
import pandas as pd
import pytest
from gpserve_client import AsyncClient, Client
from gpserve_client._requests import train
from gpserve_client.options import TrainingOptions

from service.jobs.specs import Training

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


URLS: dict[Any, str] = {
    "localhost:5000": "must begin with http:// or https://, as in 'http://localhost:5000', not",
    "localhost": "must begin with",
    "https//localhost": "must begin with",
    "ftp://localhost": "must begin with",
    "": "must begin with",
    None: "must begin with .* not None",
    b"http://localhost": "must begin with",
    "http://": "must have a host",
    "http:///predict": "must have a host",
    "http://local host": "must have a host",
    "http://localhost:70000": "must have a host and perhaps a port",
    "http://localhost:port": "cannot be read, .* Invalid port",
    "http://localhost/predict": "must be that of the service, .* not of a request",
    "http://localhost?x=1": "must be that of the service",
    "http://localhost#top": "must be that of the service",
}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", URLS)
def test_urls_that_are_no_service_are_refused(kind: type[Any], url: Any) -> None:
    with pytest.raises(ValueError, match=f"^url {URLS[url]}"):
        kind(url)


@pytest.mark.parametrize(
    "url",
    ["http://localhost:5000/", " http://localhost\n", "HTTPS://gp.example/lab/", "http://[::1]:5000",
     httpx2.URL("http://localhost")],
)  # fmt: skip
def test_urls_that_are_read(url: Any) -> None:
    with Client(url) as gp:
        assert str(gp._settings.url) == str(url).strip()


def test_numbers_in_range_are_accepted() -> None:
    rows: Any = np.int64(1)
    Client("http://localhost", rows=rows, concurrency=1, attempts=1, timeout=None).close()


@pytest.mark.parametrize("hold", [list, tuple, np.array, pd.Index, pd.Series, iter])
def test_features_in_any_iterable(hold: Any) -> None:
    features: Iterable[str] = hold(["depth", "stations"])
    call = train({"depth": [1]}, "mag", {"features": features, "ard": np.bool_(False)}, "key")
    assert call.params == {"target": "mag", "features": "depth,stations", "ard": "false"}


def test_options_of_a_training_are_those_of_the_service() -> None:
    ours, theirs = get_type_hints(TrainingOptions), get_type_hints(Training)
    theirs = {name: theirs[name] for name in Training.__struct_fields__}
    del theirs["target"]  # an argument of its own
    assert ours.keys() == theirs.keys()
    plain = {name: kind for name, kind in theirs.items() if kind in (bool, int, float)}
    assert plain.items() <= ours.items()
