"""One submission is one job, though Redis is unavailable or answers are lost."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
from gpserve_client import AsyncClient, Client

from service.model import FloatArray
from tests.client.test_versions import FAST, TABLE
from tests.helpers import plainhttp
from tests.helpers.inprocess import in_process
from tests.helpers.patience import PATIENCE_SECONDS, until
from tests.helpers.stack import TOKEN, Stack


class LosesAnswers:
    """A gateway that passes requests on to the real server and loses the first answer to each.

    It answers 504 instead, like a gateway after a timeout.
    """

    def __init__(self, url: str) -> None:
        self._http = plainhttp.Client(base_url=url)
        self._lock = threading.Lock()
        self.keys: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        answer = self._passed_on(environ)
        if environ["REQUEST_METHOD"] == "POST":
            key = environ["HTTP_IDEMPOTENCY_KEY"]
            with self._lock:
                self.keys.append(key)
                lost = self.keys.count(key) == 1
            if lost:
                start_response("504 Gateway Timeout", [("Content-Length", "0")])
                return [b""]
        headers = [("Content-Type", answer.headers["Content-Type"])]
        headers.append(("Content-Length", str(len(answer.content))))
        start_response(f"{answer.status_code} As It Was", headers)
        return [answer.content]

    def _passed_on(self, environ: dict[str, Any]) -> httpx.Response:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name not in ("HTTP_HOST", "HTTP_CONNECTION")
        }
        if kind := environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = kind
        path = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}".rstrip("?")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        return self._http.request(environ["REQUEST_METHOD"], path, headers=headers, content=body)


def test_a_lost_answer_creates_no_second_job(stack: Stack, X: FloatArray) -> None:
    gateway = LosesAnswers(stack.http)
    with in_process(gateway) as url, Client(url, token="secret") as gp:
        before = {status.id for status in gp.jobs()}
        jobs = [gp.submit(X), gp.submit(X), gp.train(TABLE, "height", **FAST, activate=False)]
        assert {status.id for status in gp.jobs()} - before == {job.id for job in jobs}
        np.testing.assert_array_equal(jobs[0].result().mean, jobs[1].result().mean)
        jobs[2].cancel()
    assert len(gateway.keys) == 6
    assert len(set(gateway.keys)) == 3


def test_a_lost_answer_creates_no_second_async_job(stack: Stack, X: FloatArray) -> None:
    gateway = LosesAnswers(stack.http)

    async def work(url: str) -> None:
        async with AsyncClient(url, token="key-of-lister") as gp:
            jobs = await asyncio.gather(*(gp.submit(X) for _ in range(4)))
            assert len({status.id for status in await gp.jobs()}) == 4
            await asyncio.gather(*(job.result() for job in jobs))

    with in_process(gateway) as url:
        asyncio.run(work(url))
    assert len(set(gateway.keys)) == 4
    assert len(gateway.keys) == 8


def test_redis_stops_and_returns(stack: Stack, X: FloatArray) -> None:
    """A job submitted meanwhile is accepted once afterwards; a job that is waited for ends."""
    patient = Client(stack.http, token="key-of-patient", attempts=100)
    with patient as gp, ThreadPoolExecutor() as pool:
        early = gp.submit(np.tile(X, (300, 1)))
        stack.redis.end(signal.SIGTERM)
        try:
            answer = plainhttp.get(f"{stack.http}/jobs", headers=TOKEN)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert gp.predict(X).mean.shape == (20,)
            late, waited = pool.submit(gp.submit, X), pool.submit(early.result)
            until(lambda: _refusals(stack) >= 4)
        finally:
            stack.redis.start()
        job = late.result(PATIENCE_SECONDS)
        np.testing.assert_array_equal(job.result().mean, gp.predict(X).mean)
        assert waited.result(PATIENCE_SECONDS).mean.shape == (6000,)
        assert {status.id for status in gp.jobs()} == {early.id, job.id}


def _refusals(stack: Stack) -> int:
    """Return how many 503 answers the servers have counted."""
    lines = plainhttp.get(f"{stack.http}/metrics").text.splitlines()
    counted = (line.split() for line in lines if line.startswith("http_requests_total{"))
    return int(sum(float(value) for name, value in counted if 'code="503"' in name))
