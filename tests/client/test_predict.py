"""Predictions with the client, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from gpserve_client import AsyncClient, Client, Prediction, ServiceError, VersionChanged, _plan
from gpserve_client._requests import NPY, npy, read_npy

from service.app import create_app
from service.gpr import GPR
from service.model import FloatArray
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.client.processes import each_alone
from tests.helpers import plainhttp
from tests.helpers.inprocess import in_process
from tests.helpers.serving import Server

Names = tuple[str, ...]

VALUES = 100_000


@pytest.fixture
def gp(server: Server) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def _equal(answer: Prediction, P: FloatArray) -> None:
    np.testing.assert_allclose(answer.mean, P[..., 0], rtol=1e-12)
    np.testing.assert_allclose(answer.variance, P[..., 1], rtol=1e-12)


def test_model(gp: Client, gpr: GPR) -> None:
    info = gp.model()
    assert (info.name, info.version) == ("quakes", gpr.description.version)
    assert info.feature_names == gpr.description.feature_names
    np.testing.assert_array_equal(info.training_range, gpr.description.training_range)
    assert info.members["kernel"] == gpr.description.kernel


def test_all_kinds_of_points(gp: Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    frame = pd.DataFrame(X, columns=list(names))
    shuffled = frame[list(names[::-1])].assign(place="Fiji")
    for points in (
        X,
        X.tolist(),
        np.asfortranarray(X),
        [tuple(row) for row in X],
        frame,
        shuffled,
        {name: X[:, i] for i, name in enumerate(names)},
        [dict(zip(names, row, strict=True)) for row in X.tolist()],
        [row for _, row in shuffled.iterrows()],
        [row for _, row in pd.DataFrame(X).iterrows()],
    ):
        _equal(gp.predict(points), P)


def test_a_polars_frame(gp: Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    frame = polars.DataFrame(X[:, ::-1], schema=list(names[::-1]))
    _equal(gp.predict(frame), P)
    _equal(gp.predict(frame.row(0, named=True)), P[0])


def test_one_point(gp: Client, X: FloatArray, P: FloatArray, names: Names) -> None:
    row = pd.DataFrame(X[:, ::-1], columns=list(names[::-1])).assign(place="Fiji").iloc[0]
    for point in (X[0], X[0].tolist(), dict(zip(names, X[0].tolist(), strict=True)), row):
        answer = gp.predict(point)
        assert np.shape(answer.mean) == ()
        _equal(answer, P[0])
    mean, variance = gp.predict(X[0])
    assert (mean, variance) == (answer.mean, answer.variance)
    assert answer.std == np.sqrt(variance)


def test_a_mesh_keeps_its_shape(gp: Client, X: FloatArray, P: FloatArray) -> None:
    answer = gp.predict(X.reshape(5, 2, 2, 4))
    assert answer.mean.shape == (5, 2, 2)
    _equal(answer, P.reshape(5, 2, 2, 2))


def test_answered_by(server: Server, X: FloatArray) -> None:
    """Each of the serving processes behind one address has its own ID."""
    seen: list[str] = []
    for _ in each_alone(server):
        with Client(server.url, rows=1) as gp:
            (mark,) = gp.predict(X).answered_by
        seen.append(mark)
    two = "--workers=2" in server.process.args  # type: ignore[operator]
    assert len(set(seen)) == len(seen) == (2 if two else 1)
    assert "" not in seen
    with Client(server.url, rows=1) as gp:
        assert gp.predict(X).answered_by <= set(seen)


def test_whole_numbers(gp: Client, gpr: GPR) -> None:
    points = np.array([[-20, 180, 500, 20], [-21, 181, 400, 30]])
    _equal(gp.predict(points), gpr.predict(points.astype(float)))


@pytest.mark.parametrize(("n", "rows"), [(5000, 1024), (2150, 1024), (2050, 1000), (4097, 4096)])
def test_parts_give_the_bits_of_the_whole(server: Server, gpr: GPR, n: int, rows: int) -> None:
    low, high = gpr.description.training_range.T
    many = np.random.default_rng(5).uniform(low, high, (n, 4))
    with Client(server.url, rows=rows) as gp:
        parts = gp.predict(many)
    headers = {"Content-Type": NPY, "Accept": NPY}
    whole = plainhttp.post(f"{server.url}/predict", content=npy(many), headers=headers)
    np.testing.assert_array_equal(np.column_stack(list(parts)), read_npy(whole.content))
    _equal(parts, gpr.predict(many))


@pytest.fixture
def few_values(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that takes a tenth of the values per request, for a client that knows it."""
    assert Settings().max_sample_values == _plan.SAMPLE_VALUES == 10 * VALUES
    monkeypatch.setattr(_plan, "SAMPLE_VALUES", VALUES)
    app = create_app(Runtime(Settings(max_sample_values=VALUES)))
    with in_process(app.wsgi_app) as url:
        yield url


def test_many_samples_of_many_points(few_values: str, gpr: GPR) -> None:
    """More values than the server's limit per request."""
    low, high = gpr.description.training_range.T
    many = np.random.default_rng(5).uniform(low, high, (1030, 4))
    with Client(few_values) as gp:
        answer, plain = gp.predict(many, samples=100, seed=3), gp.predict(many)
    assert answer.samples is not None
    assert answer.samples.shape == (100, 1030)
    np.testing.assert_allclose(
        answer.samples[:2, -9:], gpr.samples(many[-9:], 2, 3, pathwise=True), rtol=1e-9
    )
    np.testing.assert_array_equal(answer.mean, plain.mean)


def test_more_samples_than_a_tile_may_have(few_values: str, gpr: GPR) -> None:
    """Only the samples are split into less than a tile, so other numbers keep their bits."""
    low, high = gpr.description.training_range.T
    many = np.random.default_rng(5).uniform(low, high, (300, 4))
    options: dict[str, Any] = {"noise": False, "interval": 0.9, "gradient": True}
    with Client(few_values) as gp:
        answer = gp.predict(many.reshape(3, 100, 4), samples=400, seed=3, **options)
        plain = gp.predict(many.reshape(3, 100, 4), **options)
    assert answer.samples is not None
    assert answer.samples.shape == (400, 3, 100)
    draws = answer.samples.reshape(400, 300)
    np.testing.assert_allclose(
        draws[:2], gpr.samples(many, 2, 3, pathwise=True), rtol=1e-9, atol=1e-9
    )
    for name in ("mean", "variance", "lower", "upper"):
        np.testing.assert_array_equal(getattr(answer, name), getattr(plain, name))
    assert answer.gradient is not None
    assert plain.gradient is not None
    np.testing.assert_array_equal(answer.gradient.variance, plain.gradient.variance)


def test_samples_do_not_change_the_bits_of_other_numbers(few_values: str, gpr: GPR) -> None:
    low, high = gpr.description.training_range.T
    many = np.random.default_rng(5).uniform(low, high, (420, 4))
    with Client(few_values) as gp:
        answer, plain = gp.predict(many, samples=250), gp.predict(many)
    np.testing.assert_array_equal(np.array([*answer]), np.array([*plain]))


def test_options(gp: Client, gpr: GPR, X: FloatArray) -> None:
    mesh = X.reshape(4, 5, 4)
    answer = gp.predict(mesh, noise=False, interval=0.9, gradient=True, samples=3, seed=7)
    _equal(answer, gpr.predict(X, noise=False).reshape(4, 5, 2))
    assert answer.lower is not None
    assert answer.upper is not None
    np.testing.assert_allclose(answer.upper - answer.lower, 2 * 1.6448536269514722 * answer.std)
    assert answer.gradient is not None
    G = gpr.gradient(X).reshape(4, 5, 2, 4)
    np.testing.assert_allclose(answer.gradient.mean, G[:, :, 0], rtol=1e-10)
    np.testing.assert_allclose(answer.gradient.variance, G[:, :, 1], rtol=1e-10, atol=1e-16)
    assert answer.samples is not None
    np.testing.assert_allclose(answer.samples, gpr.samples(X, 3, 7).reshape(3, 4, 5), rtol=1e-9)


def test_covariance(gp: Client, gpr: GPR, X: FloatArray) -> None:
    answer = gp.predict(X, covariance=True, noise=False)
    assert answer.covariance is not None
    np.testing.assert_allclose(answer.covariance, gpr.covariance(X, noise=False), rtol=1e-10)
    _equal(answer, gpr.predict(X, noise=False))


def test_samples_do_not_depend_on_the_split(server: Server, X: FloatArray) -> None:
    with Client(server.url, rows=7) as cut, Client(server.url) as whole:
        parts = cut.predict(X, samples=2, seed=3)
        one = whole.predict(X, samples=2, seed=3, pathwise=True)
    assert parts.samples is not None
    assert one.samples is not None
    np.testing.assert_allclose(parts.samples, one.samples, rtol=1e-9)


def test_extrapolation_is_marked(gp: Client, X: FloatArray) -> None:
    points = X.copy()
    points[3, 0] = 80.0
    answer = gp.predict(points)
    assert answer.extrapolated is not None
    assert np.flatnonzero(answer.extrapolated).tolist() == [3]


def test_wrong_points_are_refused_before_sending(gp: Client, names: Names) -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\); their last axis must hold the 4"):
        gp.predict([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(ValueError, match=r"missing features: stations \(found: lat, long, depth\)"):
        gp.predict(pd.DataFrame(np.ones((2, 3)), columns=list(names[:3])))
    with pytest.raises(ValueError, match=r"stations \(found: lat, long, depth, mag\)"):
        gp.predict(pd.Series(1.0, index=[*names[:3], "mag"]))
    with pytest.raises(ValueError, match="no points"):
        gp.predict(np.ones((0, 4)))


def test_errors_of_the_service(gp: Client, X: FloatArray) -> None:
    points = X.copy()
    points[7, 2] = np.nan
    with pytest.raises(ServiceError, match="422: point 7 of the array is not finite") as refused:
        gp.predict(points)
    assert refused.value.where["row"] == 7
    assert refused.value.request_id
    with pytest.raises(ServiceError, match="422: point 0 of the array is not finite"):
        gp.predict(points[7])


def test_errors_count_points_from_the_first_of_all(gp: Client, X: FloatArray) -> None:
    points = np.resize(X, (10_000, X.shape[1]))
    points[9_990, 1] = np.inf
    with pytest.raises(ServiceError, match="422: point 9990 of the array is not finite") as refused:
        gp.predict(points)
    assert refused.value.where["row"] == 9_990


def test_a_pinned_version(server: Server, X: FloatArray, gpr: GPR) -> None:
    with Client(server.url, version=gpr.description.version) as pinned:
        assert pinned.predict(X).version == gpr.description.version
    with Client(server.url, version="000000000000") as pinned, pytest.raises(VersionChanged):
        pinned.predict(X)


def test_the_async_client(server: Server, X: FloatArray, P: FloatArray) -> None:
    async def ask() -> list[Prediction]:
        async with AsyncClient(server.url, rows=3) as gp:
            return list(await asyncio.gather(*map(gp.predict, (X, X[0], X[:9]))))

    for answer, want in zip(asyncio.run(ask()), (P, P[0], P[:9]), strict=True):
        _equal(answer, want)


def test_the_async_client_refuses_too(server: Server) -> None:
    async def ask() -> None:
        async with AsyncClient(server.url, rows=2) as gp:
            await gp.predict([[1, 2, 3, 4]] * 5 + [[1, 2, 3, float("inf")]])

    with pytest.raises(ServiceError, match="not finite"):
        asyncio.run(ask())
