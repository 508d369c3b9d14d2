"""Jobs, training and versions, against the contract's words in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gpserve_client import AsyncClient, Client, JobFailed, Options, Prediction, ServiceError

from tests.client.conftest import Serve
from tests.client.jobstub import TOKEN, Stub, stub_app

X = np.array([[[0.25, 0.5], [0.5, 4.0]]])


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def url(serve: Serve, stub: Stub) -> Iterator[str]:
    with serve(stub_app(stub)) as url:
        yield url


@pytest.fixture
def gp(url: str) -> Iterator[Client]:
    with Client(url, token=TOKEN) as client:
        yield client


def _right(answer: Prediction) -> None:
    np.testing.assert_array_equal(answer.mean, X.sum(axis=-1))
    np.testing.assert_array_equal(answer.variance, X.prod(axis=-1))
    assert answer.extrapolated is not None
    assert answer.extrapolated.tolist() == [[False, True]]
    assert answer.version == "aaaaaaaaaaaa"


def test_a_prediction_as_a_job(gp: Client, stub: Stub) -> None:
    job = gp.submit(X, noise=False)
    assert job.status.status == "accepted"
    _right(job.result())
    assert (job.status.status, job.status.progress) == ("successful", 100)
    assert stub.queries[job.id] == {"noise": "false"}


def test_the_progress_bar(gp: Client, capsys: pytest.CaptureFixture[str]) -> None:
    gp.submit(X).wait()
    assert capsys.readouterr().out == ""
    gp.submit(X).wait(progress=True)
    shown = capsys.readouterr().out
    assert "predict successful" in shown
    assert "100%" in shown


def test_jobs_can_be_found_again(gp: Client) -> None:
    ids = [gp.submit(X).id for _ in range(2)]
    assert [job.id for job in gp.jobs()] == ids
    answer = gp.job(ids[1]).result()
    np.testing.assert_array_equal(answer.mean, X.sum(axis=-1))
    assert answer.extrapolated is None
    with pytest.raises(ValueError, match="2 numbers a point, these options give 4"):
        gp.job(ids[0], Options(interval=0.9)).result()
    with pytest.raises(ServiceError, match="no such job"):
        gp.job("nothing")


def test_cancel(gp: Client, stub: Stub) -> None:
    stub.stuck = True
    job = gp.submit(X)
    with pytest.raises(TimeoutError, match="is accepted after"):
        job.wait(timeout=0.2)
    assert job.cancel().status == "dismissed"
    with pytest.raises(JobFailed, match="dismissed by its owner"):
        job.result()


TABLE = {"a": [0.0, 1.0], "b": [2.0, 3.0], "y": [4.0, 5.0]}
CSV = b"a,b,y\n0.0,2.0,4.0\n1.0,3.0,5.0\n"


@pytest.mark.parametrize("kind", ["path", "columns", "frame"])
def test_train(gp: Client, stub: Stub, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(CSV)
    data = {"path": path, "columns": TABLE, "frame": pd.DataFrame(TABLE)}[kind]
    job = gp.train(data, "y", kernel="Matern52", restarts=5, features=["a", "b"], ard=False)
    assert job.result() == {"version": "bbbbbbbbbbbb", "scores": {"rmse": 0.1}}
    assert stub.bodies[job.id] == CSV
    assert stub.queries[job.id] == {
        "target": "y",
        "kernel": "Matern52",
        "restarts": "5",
        "features": "a,b",
        "ard": "false",
    }


def test_training_that_fails(gp: Client) -> None:
    with pytest.raises(JobFailed, match="the output is constant"):
        gp.train({"constant": [1, 1], "y": [2, 2]}, "y").result()


def test_data_that_is_no_table(gp: Client) -> None:
    with pytest.raises(TypeError, match="a path, a data frame or columns"):
        gp.train(3, "y")


def test_versions(gp: Client, url: str) -> None:
    assert gp.model().version == "aaaaaaaaaaaa"
    assert gp.activate("bbbbbbbbbbbb") == {"version": "bbbbbbbbbbbb"}
    assert gp.model().version == "bbbbbbbbbbbb"
    assert gp.models()["models"][0]["version"] == "bbbbbbbbbbbb"
    with Client(url) as stranger, pytest.raises(ServiceError, match="403: a bearer token"):
        stranger.activate("cccccccccccc")


def test_the_async_face(url: str, stub: Stub) -> None:
    async def work() -> None:
        async with AsyncClient(url, token=TOKEN) as gp:
            job = await gp.submit(X)
            _right(await job.result(progress=True))
            assert (await (await gp.job(job.id)).refresh()).final
            trained = await (await gp.train(TABLE, "y")).result()
            await gp.activate(trained["version"])
            assert (await gp.models())["models"][0]["version"] == "bbbbbbbbbbbb"
            assert len(await gp.jobs()) == 2
            stub.stuck = True
            stuck = await gp.submit(X)
            with pytest.raises(TimeoutError):
                await stuck.wait(timeout=0.2)
            assert (await stuck.cancel()).status == "dismissed"
            with pytest.raises(JobFailed):
                await stuck.result()

    asyncio.run(work())
