"""The client with servers that are full, unreachable, or change their model."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import numpy as np
import pytest
from gpserve_client import AsyncClient, Client, Prediction, ServiceError, VersionChanged
from gpserve_client._plan import split
from gpserve_client._retries import (
    LONGEST_WAIT,
    on_version_change,
    retry_after_seconds,
    while_unavailable,
)
from hypothesis import given
from hypothesis import strategies as st
from tenacity import Retrying

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers.inprocess import WSGI, in_process


class OneInFive:
    """Answers every fifth request with 503 or 429."""

    def __init__(self, app: WSGI) -> None:
        self._app = app
        self._numbers = itertools.count(1)
        self.refused = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if next(self._numbers) % 5:
            return self._app(environ, start_response)
        self.refused += 1
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status = "429 Too Many Requests" if self.refused % 3 == 0 else "503 Service Unavailable"
        start_response(status, [("Retry-After", "0"), ("Content-Length", "4")])
        return [b"full"]


def _many(gpr: GPR, n: int) -> FloatArray:
    low, high = gpr.description.training_range.T
    return np.random.default_rng(8).uniform(low, high, (n, 4))


def test_refusals_are_retried(gpserve: WSGI, gpr: GPR) -> None:
    flaky, X = OneInFive(gpserve), _many(gpr, 5_000)
    with in_process(flaky) as url, Client(url, rows=64) as gp:
        answer = gp.predict(X)
        singles = [gp.predict(X[i]).mean for i in range(40)]
    assert flaky.refused >= 20
    P = gpr.predict(X)
    np.testing.assert_allclose(np.column_stack(list(answer)), P, rtol=1e-12)
    np.testing.assert_allclose(singles, P[:40, 0], rtol=1e-12)


def test_refusals_are_retried_by_the_async_client(gpserve: WSGI, gpr: GPR) -> None:
    flaky, X = OneInFive(gpserve), _many(gpr, 5_000)

    async def ask(url: str) -> Prediction:
        async with AsyncClient(url, rows=256) as gp:
            return await gp.predict(X)

    with in_process(flaky) as url:
        answer = asyncio.run(ask(url))
    assert flaky.refused >= 5
    np.testing.assert_allclose(np.column_stack(list(answer)), gpr.predict(X), rtol=1e-12)


def test_each_request_counts_its_own_attempts(gpserve: WSGI, gpr: GPR) -> None:
    """Every part is refused twice, which would use up attempts that threads share."""
    seen: Counter[bytes] = Counter()

    def twice(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] != "/predict":
            return gpserve(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        seen[body] += 1
        if seen[body] < 3:
            start_response(
                "503 Service Unavailable", [("Retry-After", "0"), ("Content-Length", "0")]
            )
            return [b""]
        environ["wsgi.input"] = io.BytesIO(body)
        return gpserve(environ, start_response)

    X = _many(gpr, 4096)
    with in_process(twice) as url, Client(url, rows=256, attempts=3) as gp:
        np.testing.assert_allclose(gp.predict(X).mean, gpr.predict(X)[:, 0], rtol=1e-12)
    assert set(seen.values()) == {3}


def test_parts_get_smaller_towards_the_end() -> None:
    """However the connections are spread, little remains for one replica at the end."""
    cut = [part.stop - part.start for part in split(100_000, 4096, 8)]
    assert sum(cut) >= 100_000 > sum(cut[:-1])
    assert all(size % 1024 == 0 for size in cut)
    assert cut[0] == 4096
    assert cut[-8:] == [1024] * 8
    assert cut == sorted(cut, reverse=True)
    assert [part.stop for part in split(600, 256, 8)] == [256, 512, 768]


@given(st.integers(1, 20_000), st.integers(1, 5000), st.integers(1, 20))
def test_split(n: int, rows: int, concurrency: int) -> None:
    cut = list(split(n, rows, concurrency))
    assert [i for part in cut for i in range(n)[part]] == list(range(n))
    assert all(part.stop - part.start <= rows for part in cut)
    if rows >= 512:
        assert all(part.start % 256 == 0 for part in cut)
        assert min(n, 256) <= n - cut[-1].start


def test_a_server_that_stays_full() -> None:
    asked = []

    def full(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("503 Service Unavailable", [("Retry-After", "0"), ("Content-Length", "0")])
        return []

    with (
        in_process(full) as url,
        Client(url, attempts=3) as gp,
        pytest.raises(ServiceError) as refused,
    ):
        gp.model()
    assert refused.value.status == 503
    assert asked == ["/model"] * 3


def test_retry_after_is_respected() -> None:
    answers = iter(["7", "0", "", "100"])
    slept: list[float] = []

    def ask() -> str:
        for retry_after in answers:
            raise ServiceError(503, {}, retry_after)
        return "answered"

    assert Retrying(**while_unavailable(5), sleep=slept.append)(ask) == "answered"
    assert 7 <= slept[0] <= 7 * 1.2
    assert slept[1] == 0
    assert 0 <= slept[2] <= 5
    assert 100 <= slept[3] <= 100 * 1.2


def test_a_long_retry_after_is_not_waited_for() -> None:
    slept: list[float] = []

    def ask() -> None:
        raise ServiceError(503, {"detail": "closed today"}, str(int(LONGEST_WAIT) + 1))

    with pytest.raises(ServiceError, match="closed today"):
        Retrying(**while_unavailable(5), sleep=slept.append)(ask)
    assert slept == []


def test_both_forms_of_retry_after() -> None:
    assert retry_after_seconds("120") == 120
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = retry_after_seconds(soon)
    assert seconds is not None
    assert 0 < seconds <= 90
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_seconds("") is None
    assert retry_after_seconds("soon") is None
    assert retry_after_seconds("²") is None


@pytest.mark.parametrize("status", [400, 404, 413, 500])
def test_permanent_errors_are_not_retried(status: int) -> None:
    asked = []

    def refuse(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked.append(environ["PATH_INFO"])
        body = b'{"detail": "no"}'
        start_response(f"{status} No", [("Content-Length", str(len(body)))])
        return [body]

    with in_process(refuse) as url, Client(url) as gp, pytest.raises(ServiceError, match="no"):
        gp.model()
    assert len(asked) == 1


def test_a_refused_connection(gpserve: WSGI) -> None:
    with in_process(gpserve) as url:
        pass
    with Client(url, attempts=2) as gp, pytest.raises(httpx2.ConnectError):
        gp.model()


class Changing:
    """Serves another version from the third prediction on, as during an activation."""

    def __init__(self, app: WSGI) -> None:
        self._app = app
        self._predictions = itertools.count(1)
        self.version = ""
        self.seen: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] == "/predict":
            self.seen.append(environ.pop("HTTP_IF_MATCH").strip('"'))
            if next(self._predictions) > 2:
                self.version = "222222222222"
            if self.seen[-1] != (self.version or self.seen[0]):
                environ["HTTP_IF_MATCH"] = '"000000000000"'
            return self._app(environ, start_response)
        body = b"".join(self._app(environ, lambda *_: None))
        document = httpx2.Response(200, content=body).json()
        document["version"] = self.version or document["version"]
        answer = httpx2.Response(200, json=document).content
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]


def _asked_at_once(url: str, points: Any) -> Prediction:
    async def ask() -> Prediction:
        async with AsyncClient(url, rows=256, concurrency=2) as gp:
            return await gp.predict(points)

    return asyncio.run(ask())


def _asked(url: str, points: Any) -> Prediction:
    with Client(url, rows=256, concurrency=2) as gp:
        return gp.predict(points)


@pytest.mark.parametrize("ask", [_asked, _asked_at_once])
def test_no_answer_mixes_two_versions(
    gpserve: WSGI, gpr: GPR, ask: Callable[[str, Any], Prediction]
) -> None:
    """The points are a generator, although they are sent twice."""
    changing, X = Changing(gpserve), _many(gpr, 2048)
    with in_process(changing) as url:
        answer = ask(url, (row for row in X))
    assert answer.version == "222222222222"
    assert changing.seen.count("222222222222") == 8
    np.testing.assert_allclose(np.column_stack(list(answer)), gpr.predict(X), rtol=1e-12)


def test_another_version_than_the_pinned_one_is_refused(gpserve: WSGI, gpr: GPR) -> None:
    changing, X = Changing(gpserve), _many(gpr, 2048)
    pinned = gpr.description.version
    with (
        in_process(changing) as url,
        Client(url, rows=256, concurrency=2, version=pinned) as gp,
        pytest.raises(VersionChanged),
    ):
        gp.predict(X)


@pytest.mark.parametrize(("seconds", "attempts"), [(0.0, 1), (10.0, 3)])
def test_the_model_is_forgotten_after_every_version_change(seconds: float, attempts: int) -> None:
    events: list[str] = []

    def ask() -> None:
        events.append("asked")
        if events.count("asked") < 3:
            raise VersionChanged(412, {})

    again = on_version_change(seconds, lambda: events.append("forgotten"))
    with nullcontext() if seconds else pytest.raises(VersionChanged):
        Retrying(**again, sleep=lambda _: None)(ask)
    assert events == (["asked", "forgotten"] * 2 + ["asked"])[: 2 * attempts]
