"""The asynchronous client, for programs that use asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, Unpack

import httpx2
from tenacity import AsyncRetrying

from gpserve_client import _requests, _retries
from gpserve_client._base import ClientBase, Settings
from gpserve_client._numbers import held
from gpserve_client._points import as_array
from gpserve_client._requests import Request, Submission
from gpserve_client._waiting import ProgressBar, pauses
from gpserve_client.answers import JobStatus, ModelInfo, Prediction
from gpserve_client.options import JobOptions, Options, TrainingOptions

T = TypeVar("T")


class AsyncClient(ClientBase):
    """The asynchronous `Client`, with the same parameters, methods and results."""

    def __setstate__(self, settings: Settings) -> None:
        super().__setstate__(settings)
        self._http = _PerLoopHTTP(settings)
        self._shared_model = _SharedCall(self.model)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.client().aclose()

    async def model(self) -> ModelInfo:
        """Return the model that is served now."""
        self._model = self._settings.refuse_other_version(await self._send(_requests.model()))
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
        pathwise: bool = False,
    ) -> Prediction:
        """Predict at points of shape (..., d); see `Client.predict`."""
        options = Options(noise, interval, gradient, covariance, samples, seed, pathwise)
        retrying = AsyncRetrying(**self._retry_version_change())
        return await retrying(self._predict, held(points), options)

    async def _predict(self, points: Any, options: Options) -> Prediction:
        info = self._model or await self._shared_model()
        plan = self._settings.plan(
            as_array(points, info.feature_names, info.categories), options, info
        )
        return plan.join(await self._send_all(plan.requests()))

    async def submit(self, points: Any, **options: Unpack[JobOptions]) -> AsyncJob:
        """Predict as a job; see `Client.submit`."""
        retrying = AsyncRetrying(**self._retry_version_change())
        return await retrying(self._submit, held(points), Options(**options), _requests.new_key())

    async def _submit(self, points: Any, options: Options, key: str) -> AsyncJob:
        info = self._model or await self._shared_model()
        X = as_array(points, info.feature_names, info.categories)
        status = await self._send(_requests.submit(X, options, info.version, key))
        return AsyncJob(self, status, Submission(options, info.outside(X), info.version))

    async def train(self, data: Any, target: str, **options: Unpack[TrainingOptions]) -> AsyncJob:
        """Train a new version as a job; see `Client.train`."""
        status = await self._send(_requests.train(data, target, options, _requests.new_key()))
        self._forget_model()
        return AsyncJob(self, status)

    async def activate(self, version: str, *, force: bool = False) -> dict[str, Any]:
        """Serve this version; see `Client.activate`."""
        self._forget_model()
        return await self._send(_requests.activate(version, force))

    async def publish(
        self, path: str | os.PathLike[str], *, activate: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """Store a model file as a version; see `Client.publish`."""
        self._forget_model()
        return await self._send(_requests.publish(Path(path), activate, force))

    async def diagnostics(self) -> dict[str, Any]:
        """Return how good the served model is; see `Client.diagnostics`."""
        return await self._send(_requests.diagnostics())

    async def models(self) -> dict[str, Any]:
        """Return all versions with their scores."""
        return await self._send(_requests.models())

    async def jobs(self) -> list[JobStatus]:
        """Return the jobs submitted with this client's key; see `Client.jobs`."""
        return await self._send(_requests.jobs())

    async def job(self, id: str, options: Options | None = None) -> AsyncJob:
        """Return a job that was submitted before, with these options if it is a prediction."""
        status = await self._send(_requests.job(id))
        return AsyncJob(self, status, Submission(options or Options()))

    async def _send_all(self, requests: Sequence[Request[T]]) -> list[T]:
        # the connection limit of the HTTP client bounds how many are sent at the same time
        tasks = [asyncio.ensure_future(self._send(request)) for request in requests]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _send(self, request: Request[T]) -> T:
        retrying = AsyncRetrying(**_retries.while_unavailable(self._settings.attempts))
        return await retrying(self._send_once, request)

    async def _send_once(self, request: Request[T]) -> T:
        response = await self._http.client().request(
            request.method,
            request.path,
            params=request.params,
            headers=request.headers,
            content=request.content,
        )
        return request.result(response)


class AsyncJob:
    """The asynchronous `Job`, with the same attributes, methods and results."""

    def __init__(
        self, client: AsyncClient, status: JobStatus, submission: Submission | None = None
    ) -> None:
        self._client = client
        self._submission = submission or Submission()
        self.status = status
        self.id = status.id

    async def refresh(self) -> JobStatus:
        """Fetch and return the current status."""
        self.status = await self._client._send(_requests.job(self.id))
        return self.status

    async def wait(self, *, timeout: float | None = None, progress: bool = False) -> JobStatus:
        """Wait until the job ends; see `Job.wait`."""
        with ProgressBar(self.status, shown=progress) as bar:
            for pause in pauses(timeout):
                await asyncio.sleep(pause)
                bar.update(await self.refresh())
                if self.status.final:
                    return self.status
        raise TimeoutError(f"job {self.id} is {self.status.status} after {timeout} s")

    async def result(self, *, timeout: float | None = None, progress: bool = False) -> Any:
        """Wait until the job ends, and return its result; see `Job.result`."""
        (await self.wait(timeout=timeout, progress=progress)).refuse_failed()
        return await self._client._send(_requests.results(self.id, self._submission))

    async def cancel(self) -> JobStatus:
        """Cancel the job unless it has ended, and return its status."""
        self.status = await self._client._send(_requests.dismiss(self.id))
        return self.status


class _PerLoopHTTP:
    """An HTTP client for each event loop of each process.

    Each `asyncio.run` has another event loop, and connections work only on the loop that opened
    them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[tuple[int, asyncio.AbstractEventLoop], httpx2.AsyncClient] = {}

    def client(self) -> httpx2.AsyncClient:
        """Return the HTTP client of the running event loop in this process."""
        owner = os.getpid(), asyncio.get_running_loop()
        if owner not in self._clients:
            self._drop_closed_loops()
            self._clients.setdefault(owner, httpx2.AsyncClient(**self._settings.http()))
        return self._clients[owner]

    def _drop_closed_loops(self) -> None:
        # After a fork the client of the parent's open loop is kept: deleting it could remove the
        # parent's sockets from the epoll set that both processes share.
        for pid, loop in list(self._clients):
            if loop.is_closed():
                self._clients.pop((pid, loop), None)


class _SharedCall(Generic[T]):
    """A call of a coroutine function that all concurrent callers on an event loop share.

    With a lock instead, each caller would repeat a call that fails, one after the other.
    """

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._function = function
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[T]] = {}

    async def __call__(self) -> T:
        """Return the result; cancelling one caller does not cancel the call for the others."""
        loop = asyncio.get_running_loop()
        if loop not in self._tasks:
            task = loop.create_task(self._function())
            self._tasks[loop] = task
            task.add_done_callback(lambda _: self._tasks.pop(loop, None))
        return await asyncio.shield(self._tasks[loop])
