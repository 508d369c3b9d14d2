"""Jobs of the client, against a real server, worker and Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gpserve_client import (
    AsyncClient,
    Client,
    JobFailed,
    Options,
    Prediction,
    ServiceError,
    VersionChanged,
)

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers import plainhttp
from tests.helpers.inprocess import WSGI, in_process
from tests.helpers.patience import until
from tests.helpers.stack import Stack
from tests.helpers.stack import stack as started


@pytest.fixture
def gp(stack: Stack) -> Iterator[Client]:
    with Client(stack.http) as client:
        yield client


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose worker needs a second for ten tiles."""
    settings: dict[str, Any] = {"model_class": "tests.jobs.slow:SlowGPR", "chunk_seconds": 0.2}
    with started(tmp_path_factory.mktemp("slow"), **settings) as made:
        yield made


def _many(gpr: GPR, n: int) -> FloatArray:
    low, high = gpr.description.training_range.T
    return np.random.default_rng(8).uniform(low, high, (n, len(low)))


def _same(answer: Prediction, at_once: Prediction) -> None:
    np.testing.assert_array_equal(answer.mean, at_once.mean)
    np.testing.assert_array_equal(answer.variance, at_once.variance)
    assert answer.extrapolated is not None
    np.testing.assert_array_equal(answer.extrapolated, at_once.extrapolated)
    assert answer.version == at_once.version


def test_a_job_gives_the_bits_of_predict(gp: Client, gpr: GPR) -> None:
    X = _many(gpr, 6000).reshape(6, 1000, 4)
    X[2, 3, 0] = 50.0
    job = gp.submit(X, noise=False)
    assert not job.status.final
    _same(job.result(), gp.predict(X, noise=False))
    assert (job.status.process, job.status.status) == ("predict", "successful")
    assert job.status.progress == 100
    assert job.status.members["points"] == {"done": 6000, "total": 6000}


def test_one_point(gp: Client, X: FloatArray, P: FloatArray) -> None:
    answer = gp.submit(X[0]).result()
    assert np.shape(answer.mean) == ()
    np.testing.assert_allclose([answer.mean, answer.variance], P[0], rtol=1e-12)


def test_options(gp: Client, X: FloatArray) -> None:
    options: dict[str, Any] = {"interval": 0.9, "gradient": True, "samples": 3, "seed": 7}
    answer, at_once = gp.submit(X, **options).result(), gp.predict(X, **options)
    _same(answer, at_once)
    np.testing.assert_array_equal(answer.lower, at_once.lower)
    np.testing.assert_array_equal(answer.gradient.variance, at_once.gradient.variance)  # type: ignore[union-attr]
    np.testing.assert_array_equal(answer.samples, at_once.samples)
    with pytest.raises(ValueError, match="do not support covariance"):
        gp.submit(X, covariance=True)  # type: ignore[call-arg]


def test_the_progress_bar(slow: Stack, gpr: GPR, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(slow.http) as gp:
        gp.submit([-20, 181, 500, 30]).wait()
        assert capsys.readouterr() == ("", "")
        gp.submit(_many(gpr, 2000)).wait(progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "predict successful" in output.err
    assert "100%" in output.err


def test_progress_counts_points(slow: Stack, gpr: GPR) -> None:
    """The job takes forty seconds, so that it still runs when it is polled late."""
    seen = [0.0]
    with Client(slow.http) as gp:
        job = gp.submit(_many(gpr, 100_000))
        for _ in range(2):
            until(lambda: job.refresh().progress > seen[-1])
            seen.append(job.status.progress)
        points = job.status.members["points"]
        assert job.cancel().status == "dismissed"
    assert 0 < seen[1] < seen[2] < 100
    assert 0 < points["done"] < points["total"] == 100_000


def test_jobs_are_listed_by_token_and_found_by_id(stack: Stack, X: FloatArray) -> None:
    mine, other = "key-of-mine", "key-of-other"
    with Client(stack.http, token=mine) as gp, Client(stack.http, token=other) as stranger:
        ids = [gp.submit(X).id for _ in range(2)]
        assert [status.id for status in gp.jobs()] == ids[::-1]
        assert not {status.id for status in stranger.jobs()} & set(ids)
        with pytest.raises(ServiceError, match="404: no such job"):
            stranger.job(ids[1])
        answer = gp.job(ids[1]).result()
        np.testing.assert_array_equal(answer.mean, gp.predict(X).mean)
        assert answer.extrapolated is None
        with pytest.raises(ValueError, match="2 numbers per point, but these options give 4"):
            gp.job(ids[0], Options(interval=0.9)).result()
        with pytest.raises(ServiceError, match="404: no such job, or it has expired: 'nothing'"):
            gp.job("nothing")
        with pytest.raises(
            ValueError, match=r"4 numbers per .* give 2: pass the options of the job"
        ):
            gp.job(gp.submit(X, interval=0.9).id).result()
        for astray in ("../models", "..", "1/results", "a?b#c"):
            with pytest.raises(ServiceError) as refused:
                gp.job(astray)
            assert refused.value.status == 404


def test_a_table_that_another_program_sent(stack: Stack, gp: Client, X: FloatArray) -> None:
    headers = {"Content-Type": "text/csv", "Prefer": "respond-async"}

    def sent(rows: FloatArray, *more: str) -> str:
        table = "\n".join([*(",".join(map(str, row)) for row in rows.tolist()), *more])
        answer = plainhttp.post(f"{stack.http}/predict", content=table, headers=headers)
        return str(answer.json()["jobID"])

    np.testing.assert_array_equal(gp.job(sent(X)).result().mean, gp.predict(X).mean)
    broken = gp.job(sent(X, "-20,181,deep,30"))
    with pytest.raises(JobFailed, match=r"failed: line 21.*'deep'"):
        broken.result()
    assert broken.status.members["problem"]["line"] == 21


def test_nan_fails_the_job(gp: Client, gpr: GPR) -> None:
    X = _many(gpr, 5000)
    X[4321, 2] = np.nan
    with pytest.raises(JobFailed, match=r"point 4321 .*not finite"):
        gp.submit(X).result()


def test_cancel(slow: Stack, gpr: GPR) -> None:
    with Client(slow.http) as gp:
        job = gp.submit(_many(gpr, 40_000))
        with pytest.raises(TimeoutError, match=r"is (accepted|running) after 0\.2 s"):
            job.wait(timeout=0.2)
        assert job.cancel().status == "dismissed"
        assert job.refresh().final
        with pytest.raises(JobFailed, match="dismissed by its owner"):
            job.result()
        ended = gp.submit([-20, 181, 500, 30])
        ended.wait()
        assert ended.cancel().status == "successful"


def _unending(environ: dict[str, Any], start_response: Any) -> Any:
    body = b'{"jobID": "1", "status": "running"}'
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def test_wait_takes_the_whole_timeout() -> None:
    async def wait(url: str) -> None:
        async with AsyncClient(url) as gp:
            await (await gp.job("1")).wait(timeout=1.0)

    with in_process(_unending) as url, Client(url) as gp:
        job = gp.job("1")
        for waiting in (lambda: job.wait(timeout=1.0), lambda: asyncio.run(wait(url))):
            started = time.monotonic()
            with pytest.raises(TimeoutError, match=r"job 1 is running after 1\.0 s"):
                waiting()
            assert time.monotonic() - started >= 1.0


def test_another_version_than_the_pinned_one_is_refused(stack: Stack, X: FloatArray) -> None:
    with Client(stack.http, version="000000000000") as gp, pytest.raises(VersionChanged):
        gp.submit(X)


def test_a_server_without_jobs_answers_at_once_and_is_not_asked_again(
    gpserve: WSGI, X: FloatArray
) -> None:
    asked = []

    def counting(environ: dict[str, Any], start_response: Any) -> Any:
        asked.append(environ["PATH_INFO"])
        return gpserve(environ, start_response)

    with (
        in_process(counting) as url,
        Client(url) as gp,
        pytest.raises(ServiceError, match=r"it has no queue\. Use predict"),
    ):
        gp.submit(X)
    assert asked == ["/model", "/predict"]


def test_the_async_client(stack: Stack, slow: Stack, gpr: GPR) -> None:
    X = _many(gpr, 6000)
    X[5, 0] = 50.0

    async def work() -> None:
        async with AsyncClient(stack.http, token="key-of-mine") as gp:
            jobs = await asyncio.gather(*(gp.submit(X, interval=0.5) for _ in range(3)))
            at_once = await gp.predict(X, interval=0.5)
            for job in jobs:
                _same(await job.result(progress=True), at_once)
            again = await gp.job(jobs[0].id, Options(interval=0.5))
            assert again.status.final
            np.testing.assert_array_equal((await again.result()).upper, at_once.upper)
            assert {job.id for job in jobs} <= {status.id for status in await gp.jobs()}
        async with AsyncClient(slow.http) as gp:
            job = await gp.submit(_many(gpr, 40_000))
            with pytest.raises(TimeoutError):
                await job.wait(timeout=0.2)
            assert (await job.cancel()).status == "dismissed"
            with pytest.raises(JobFailed, match="dismissed"):
                await job.result()

    asyncio.run(work())
