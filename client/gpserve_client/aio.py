"""The same client for programs that use asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, Self, TypeVar, Unpack

import httpx
from tenacity import AsyncRetrying

from gpserve_client import _requests, _retries
from gpserve_client._base import ClientBase, Settings
from gpserve_client._points import as_array
from gpserve_client._requests import Asked, Call, result_of
from gpserve_client._waiting import Bar, pauses
from gpserve_client.answers import JobStatus, ModelInfo, Prediction
from gpserve_client.errors import VersionChanged, checked
from gpserve_client.options import JobOptions, Options, TrainingOptions

T = TypeVar("T")


class AsyncClient(ClientBase):
    """`Client` with methods to await: the parameters and the answers are the same."""

    def __setstate__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = OfLoop(settings)
        self._model: ModelInfo | None = None
        self._first_model = SharedTask(self.model)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.own().aclose()

    async def model(self) -> ModelInfo:
        """What is served now."""
        self._model = self._settings.refuse_other(await self._do(_requests.model()))
        return self._model

    async def predict(
        self,
        points: Any,
        *,
        noise: bool = True,
        interval: float | None = None,
        gradient: bool = False,
        covariance: bool = False,
        samples: int = 0,
        seed: int = 0,
    ) -> Prediction:
        """As `Client.predict`."""
        options = Options(noise, interval, gradient, covariance, samples, seed)
        retrying = AsyncRetrying(**_retries.of_versions(self._settings.version_seconds))
        return await retrying(self._predict, points, options)

    async def _predict(self, points: Any, options: Options) -> Prediction:
        info = self._model or await self._first_model.result()
        plan = self._settings.plan(as_array(points, info.feature_names), options, info)
        try:
            return plan.answer(await self._all(plan.calls()))
        except VersionChanged:
            self._model = None
            raise

    async def submit(self, points: Any, **options: Unpack[JobOptions]) -> AsyncJob:
        """As `Client.submit`."""
        retrying = AsyncRetrying(**_retries.of_versions(self._settings.version_seconds))
        return await retrying(self._submit, points, Options(**options), _requests.new_key())

    async def _submit(self, points: Any, options: Options, key: str) -> AsyncJob:
        info = self._model or await self._first_model.result()
        X = as_array(points, info.feature_names)
        try:
            status = await self._do(_requests.submit(X, options, info.version, key))
        except VersionChanged:
            self._model = None
            raise
        return AsyncJob(self, status, Asked(options, info.outside(X), info.version))

    async def train(self, data: Any, target: str, **options: Unpack[TrainingOptions]) -> AsyncJob:
        """As `Client.train`."""
        status = await self._do(_requests.train(data, target, options, _requests.new_key()))
        self._model = None
        return AsyncJob(self, status)

    async def activate(self, version: str) -> dict[str, Any]:
        """As `Client.activate`."""
        self._model = None
        return await self._do(_requests.activate(version))

    async def models(self) -> dict[str, Any]:
        """All versions, with their scores."""
        return await self._do(_requests.models())

    async def jobs(self) -> list[JobStatus]:
        """As `Client.jobs`."""
        return await self._do(_requests.jobs())

    async def job(self, id: str, options: Options | None = None) -> AsyncJob:
        """As `Client.job`."""
        return AsyncJob(self, await self._do(_requests.job(id)), Asked(options or Options()))

    async def _all(self, asked: Sequence[Call[T]]) -> list[T]:
        # the HTTP client lets so many through at a time as there are connections
        tasks = [asyncio.ensure_future(self._do(call)) for call in asked]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _do(self, call: Call[T]) -> T:
        retrying = AsyncRetrying(**_retries.of_requests(self._settings.attempts))
        return await retrying(self._send, call)

    async def _send(self, call: Call[T]) -> T:
        response = await self._connections.own().request(
            call.method, call.path, params=call.params, headers=call.headers, content=call.content
        )
        return call.read(checked(response))


class AsyncJob:
    """`Job` with methods to await."""

    def __init__(
        self,
        client: AsyncClient,
        status: JobStatus,
        asked: Asked | None = None,
    ) -> None:
        self._client = client
        self._asked = asked or Asked()
        self.status = status
        self.id = status.id

    async def refresh(self) -> JobStatus:
        """Look how far it is."""
        self.status = await self._client._do(_requests.job(self.id))
        return self.status

    async def wait(self, *, timeout: float | None = None, progress: bool = False) -> JobStatus:
        """As `Job.wait`."""
        with Bar(self.status, shown=progress) as bar:
            for pause in pauses(timeout):
                await asyncio.sleep(pause)
                bar.show(await self.refresh())
                if self.status.final:
                    return self.status
        raise TimeoutError(f"job {self.id} is {self.status.status} after {timeout} s")

    async def result(self, *, timeout: float | None = None, progress: bool = False) -> Any:
        """As `Job.result`."""
        (await self.wait(timeout=timeout, progress=progress)).refuse_failed()
        response = await self._client._do(_requests.results(self.id))
        return result_of(response, self._asked)

    async def cancel(self) -> JobStatus:
        """Stop it, if it is not over."""
        self.status = await self._client._do(_requests.dismiss(self.id))
        return self.status


class OfLoop:
    """The connections of the running event loop, in this process.

    Another `asyncio.run` is another loop, on which the connections of the first cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[tuple[int, asyncio.AbstractEventLoop], httpx.AsyncClient] = {}

    def own(self) -> httpx.AsyncClient:
        """An HTTP client whose connections no other loop and no other process uses."""
        owner = os.getpid(), asyncio.get_running_loop()
        if owner not in self._made:
            self._forget_closed_loops()
            self._made.setdefault(owner, httpx.AsyncClient(**self._settings.http()))
        return self._made[owner]

    def _forget_closed_loops(self) -> None:
        # Those of a parent's open loop are kept: to collect them could take its sockets out of
        # the epoll set that a fork shares.
        for process, loop in list(self._made):
            if loop.is_closed():
                self._made.pop((process, loop), None)


class SharedTask(Generic[T]):
    """What `ask` gives; who asks while it is under way, on the same loop, awaits the same.

    Unlike behind a lock, a failure is told to all at once, not to one after the other.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._ask = ask
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[T]] = {}

    async def result(self) -> T:
        """Its result; who is cancelled meanwhile does not cancel it for the others."""
        loop = asyncio.get_running_loop()
        if loop not in self._tasks:
            task = loop.create_task(self._ask())
            self._tasks[loop] = task
            task.add_done_callback(lambda _: self._tasks.pop(loop, None))
        return await asyncio.shield(self._tasks[loop])
