"""Every process and every event loop has its own connections."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import httpx2
import numpy as np
import pytest
from gpserve_client import AsyncClient, Client, ServiceError

from service.gpr import GPR
from service.model import FloatArray
from tests.client.keepalive import Peers, keeping_alive
from tests.helpers.inprocess import WSGI, in_process
from tests.helpers.patience import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def idle_connections_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep them for longer than 5 s, which a fork may take on a busy machine."""
    limits = partial(httpx2.Limits, keepalive_expiry=PATIENCE_SECONDS)
    monkeypatch.setattr("gpserve_client._base.httpx2.Limits", limits)


@pytest.fixture
def peers(gpserve: WSGI) -> Peers:
    return Peers(gpserve)


@pytest.fixture
def url(peers: Peers) -> Iterator[str]:
    with keeping_alive(peers) as url:
        yield url


def _in_a_fork(work: Callable[[], None]) -> None:
    """Call `work` in a forked child, which must succeed."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(PATIENCE_SECONDS)
    assert child.exitcode == 0


def test_a_fork_opens_its_own_connections(url: str, peers: Peers, X: FloatArray) -> None:
    with Client(url) as gp:
        mean = gp.predict(X).mean
        before = set(peers.ports)
        _in_a_fork(lambda: np.testing.assert_array_equal(gp.predict(X).mean, mean))
        (child,) = set(peers.ports) - before
        gp.predict(X)
        # the parent continues on its connection, which the child did not close
        assert peers.ports[-1] in before
        assert set(peers.ports) == before | {child}


def test_a_fork_with_the_async_client(url: str, peers: Peers, X: FloatArray) -> None:
    async def twice() -> None:
        gp = AsyncClient(url)
        mean = (await gp.predict(X)).mean
        before = set(peers.ports)

        def in_child() -> None:
            np.testing.assert_array_equal(asyncio.run(gp.predict(X)).mean, mean)

        _in_a_fork(in_child)
        assert len(set(peers.ports) - before) == 1
        await gp.predict(X)
        assert peers.ports[-1] in before

    asyncio.run(twice())


def _mean(gp: Client, point: FloatArray) -> float:
    return float(gp.predict(point).mean)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_pool_of_processes(url: str, gpr: GPR, X: FloatArray, start: str) -> None:
    many, gp = np.tile(X, (5, 1)), Client(url)
    gp.predict(X[0])
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(2, context) as pool:
        means = list(pool.map(_mean, [gp] * len(many), many))
    np.testing.assert_allclose(means, gpr.predict(many)[:, 0], rtol=1e-12)


def test_forks_and_their_parent_concurrently(url: str, gpr: GPR, X: FloatArray) -> None:
    gp, parent = Client(url), os.getpid()
    wanted = gpr.predict(X)[:, 0]
    gp.predict(X)

    def ask_all() -> None:
        assert os.getpid() != parent
        means = [_mean(gp, point) for point in X]
        np.testing.assert_allclose(means, wanted, rtol=1e-12)

    children = [multiprocessing.get_context("fork").Process(target=ask_all) for _ in range(4)]
    for child in children:
        child.start()
    ask = [_mean(gp, point) for point in X]
    for child in children:
        child.join(PATIENCE_SECONDS)
    assert [child.exitcode for child in children] == [0] * 4
    np.testing.assert_allclose(ask, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda gp: pickle.loads(pickle.dumps(gp))]
)
def test_a_copy_has_the_same_settings(again: Callable[[Any], Any], url: str, X: FloatArray) -> None:
    settings: dict[str, Any] = {"token": "a", "rows": 7, "attempts": 2, "headers": {"A": "b"}}
    with Client(url, **settings) as gp:
        mean = gp.predict(X).mean
        with again(gp) as other:
            assert other._settings == gp._settings
            np.testing.assert_array_equal(other.predict(X).mean, mean)
        np.testing.assert_array_equal(gp.predict(X).mean, mean)

    async def ask() -> FloatArray:
        async with again(AsyncClient(url, **settings)) as other:
            return np.asarray((await other.predict(X)).mean)

    np.testing.assert_array_equal(asyncio.run(ask()), mean)


def test_consecutive_event_loops(url: str, X: FloatArray) -> None:
    gp = AsyncClient(url, attempts=1)
    first, second = (asyncio.run(gp.predict(X)) for _ in range(2))
    np.testing.assert_array_equal(first.mean, second.mean)
    assert len(gp._http._clients) == 1


def test_concurrent_first_predictions_fetch_the_model_once(
    url: str, peers: Peers, X: FloatArray
) -> None:
    async def ask() -> None:
        async with AsyncClient(url) as gp:
            await asyncio.gather(*(gp.predict(X) for _ in range(50)))

    asyncio.run(ask())
    assert peers.paths == {"/model": 1, "/predict": 50}


def test_cancelling_one_prediction_keeps_the_model_for_others(url: str, X: FloatArray) -> None:
    async def ask() -> None:
        async with AsyncClient(url) as gp:
            first, second = (asyncio.ensure_future(gp.predict(X)) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert (await second).mean.shape == (20,)

    asyncio.run(ask())


def test_concurrent_predictions_fail_together_when_unavailable() -> None:
    asked = []

    def away(environ: dict[str, Any], start_response: Any) -> Any:
        asked.append(environ["PATH_INFO"])
        start_response("503 Service Unavailable", [("Retry-After", "0"), ("Content-Length", "0")])
        return []

    async def ask(url: str) -> list[Any]:
        async with AsyncClient(url, attempts=2) as gp:
            predictions = (gp.predict([1, 2, 3, 4]) for _ in range(9))
            return await asyncio.gather(*predictions, return_exceptions=True)

    with in_process(away) as url:
        told = asyncio.run(ask(url))
    assert [type(error) for error in told] == [ServiceError] * 9
    assert asked == ["/model"] * 2
