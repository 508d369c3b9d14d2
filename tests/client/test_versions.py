"""Training and versions from the client, against a real server, worker and Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gpserve_client import AsyncClient, Client, JobFailed, ServiceError

from service.model import FloatArray
from tests.client.processes import all_serve
from tests.helpers.patience import until
from tests.helpers.stack import Stack

_RNG = np.random.default_rng(3)
_LEFT, _RIGHT = _RNG.uniform(0, 1, (2, 60))
TABLE = {
    "left": _LEFT.round(6).tolist(),
    "right": _RIGHT.round(6).tolist(),
    "height": (np.sin(4 * _LEFT) + _RIGHT + 0.05 * _RNG.normal(size=60)).round(6).tolist(),
}
FAST: dict[str, Any] = {"kernel": "Matern52", "restarts": 1, "name": "hill"}


@pytest.fixture
def gp(stack: Stack) -> Iterator[Client]:
    with Client(stack.http, token="secret") as client:
        yield client


@pytest.mark.parametrize("kind", ["path", "gzipped", "columns", "frame"])
def test_train(gp: Client, tmp_path: Path, kind: str) -> None:
    before, path = gp.models()["current"], tmp_path / "data.csv"
    frame = pd.DataFrame(TABLE)
    frame.to_csv(path, index=False)
    gzipped = tmp_path / "data.csv.gz"
    frame.to_csv(gzipped, index=False)
    data = {"path": path, "gzipped": gzipped, "columns": TABLE, "frame": frame}[kind]
    options = FAST | {"features": np.array(["right", "left"]), "ard": False, "activate": False}
    job = gp.train(data, "height", **options)
    result = job.result()
    assert (job.status.process, job.status.status) == ("train", "successful")
    assert result["version"] == job.status.members["version"]
    assert result["feature_names"] == ["right", "left"]
    assert result["output_name"] == "height"
    assert result["scores"]["held_out_rows"] == 12
    current = {model["version"]: model["current"] for model in gp.models()["models"]}
    assert (current[before], current[result["version"]]) == (True, False)


def test_activate_a_new_version_and_the_old_one_again(
    stack: Stack, gp: Client, X: FloatArray
) -> None:
    before, old = gp.models()["current"], gp.predict(X)
    assert old.version == before
    version = gp.train(TABLE, "height", **FAST).result()["version"]
    until(lambda: all_serve(stack.servers[0], version))
    assert gp.model().name == "hill"
    found = gp.diagnostics()
    assert (found["version"], len(found["rows"])) == (
        version,
        gp.model().members["training_points"],
    )
    heights = gp.predict(pd.DataFrame(TABLE))
    assert heights.version == version
    assert np.abs(heights.mean - TABLE["height"]).max() < 0.5
    assert gp.submit(pd.DataFrame(TABLE)).result().version == version

    assert gp.activate(before, force=True)["version"] == before
    until(lambda: all_serve(stack.servers[0], before))
    again = gp.predict(X)
    assert again.version == before
    np.testing.assert_array_equal(again.mean, old.mean)


def test_a_client_that_knows_the_old_version_sends_the_points_again(
    stack: Stack, gp: Client
) -> None:
    """The new version has another order of features; none may end up in the wrong column."""
    frame = pd.DataFrame(TABLE)
    base = gp.models()["current"]
    first, second = (
        gp.train(frame, "height", **FAST, features=names, activate=False).result()["version"]
        for names in (["left", "right"], ["right", "left"])
    )
    with Client(stack.http) as other:
        for version in (first, second):
            gp.activate(version)
            until(lambda version=version: all_serve(stack.servers[0], version))  # type: ignore[misc]
            job = other.submit(frame).result()
            assert job.version == other.predict(frame).version == version
            assert np.abs(job.mean - TABLE["height"]).max() < 0.5
            assert job.extrapolated is not None
    gp.activate(base)
    until(lambda: all_serve(stack.servers[0], base))


def test_unusable_training_data(gp: Client) -> None:
    words = TABLE | {"left": ["a", "b"] * 30}
    with pytest.raises(ServiceError, match="422: line 2: left is not a number: 'a'"):
        gp.train(words, "height")
    with pytest.raises(ServiceError, match="column 'depth' is missing"):
        gp.train(TABLE, "depth")
    with pytest.raises(TypeError, match="a path, a data frame or columns"):
        gp.train(3, "y")


def test_writing_needs_the_token(stack: Stack, gp: Client) -> None:
    with Client(stack.http) as stranger:
        with pytest.raises(ServiceError) as refused:
            stranger.train(TABLE, "height")
        assert refused.value.status == 401
        with pytest.raises(ServiceError) as refused:
            stranger.activate(gp.model().version)
        assert refused.value.status == 401
    with pytest.raises(ServiceError, match="404: no such version: 'cccccccccccc'"):
        gp.activate("cccccccccccc")


def test_the_async_client(stack: Stack) -> None:
    async def work() -> None:
        async with AsyncClient(stack.http, token="secret") as gp:
            before = (await gp.models())["current"]
            job = await gp.train(TABLE, "height", **FAST, activate=False)
            version = (await job.result(progress=True))["version"]
            assert job.id in {status.id for status in await gp.jobs()}
            assert version in {model["version"] for model in (await gp.models())["models"]}
            assert (await gp.activate(version))["version"] == version
            assert (await gp.activate(before, force=True))["version"] == before
            assert (await gp.diagnostics())["method"] == "leave_one_out"

    asyncio.run(work())


# At the end: the next training would have to import GPy again.
def test_cancel_a_training(gp: Client) -> None:
    job = gp.train(TABLE, "height", restarts=100, activate=False)
    until(lambda: job.refresh().status == "running")
    assert job.cancel().status == "dismissed"
    with pytest.raises(JobFailed, match="dismissed by its owner"):
        job.result()
