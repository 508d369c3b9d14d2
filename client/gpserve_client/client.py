"""The client for scripts and notebooks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any, Self, TypeVar, Unpack

import httpx
from tenacity import Retrying

from gpserve_client import _requests, _retries
from gpserve_client._base import ClientBase, Settings
from gpserve_client._points import as_array
from gpserve_client._requests import Asked, Call, result_of
from gpserve_client._waiting import Bar, pauses
from gpserve_client.answers import JobStatus, ModelInfo, Prediction
from gpserve_client.errors import VersionChanged, checked
from gpserve_client.options import JobOptions, Options, TrainingOptions

T = TypeVar("T")


class Client(ClientBase):
    """A gpserve service: ``gp = Client("http://localhost:5000"); gp.predict(X).mean``.

    Parameters
    ----------
    url : of the service
    token : for `train` and `activate`; jobs sent with it are listed for it alone
    version : pins the model: predictions of another version raise `VersionChanged`
    rows : points in one request at most; more are split
    concurrency : requests at the same time
    attempts : how often a request is sent while the server is full or away; a server that asks to
        wait for more than two minutes is not asked again
    timeout : seconds without a byte; None waits for ever
    headers : sent with every request: the ``Host`` that an ingress knows, or what a proxy asks for;
        an ``Authorization`` among them takes the place of `token`

    A child made by `fork` opens connections of its own; a copy by pickle is set alike, token
    included.

    Raises
    ------
    ValueError
        `rows`, `concurrency` or `attempts` is less than 1, or `timeout` is not positive.
    """

    def __setstate__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = OfProcess(settings)
        self._model: ModelInfo | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connections.own().close()

    def model(self) -> ModelInfo:
        """What is served now."""
        self._model = self._settings.refuse_other(self._do(_requests.model()))
        return self._model

    def predict(
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
        """Predict at points of shape (..., d): see `as_array` and `Options`.

        Many points are split and sent at the same time; all are answered by one version.

        Raises
        ------
        ServiceError
            The service refuses the points, or is full or away for too long.
        ValueError
            The points have the wrong shape or columns.
        """
        options = Options(noise, interval, gradient, covariance, samples, seed)
        return Retrying(**_retries.of_versions(self._settings.version_seconds))(
            self._predict, points, options
        )

    def _predict(self, points: Any, options: Options) -> Prediction:
        info = self._model or self.model()
        plan = self._settings.plan(as_array(points, info.feature_names), options, info)
        try:
            return plan.answer(self._all(plan.calls()))
        except VersionChanged:
            self._model = None
            raise

    def submit(self, points: Any, **options: Unpack[JobOptions]) -> Job:
        """Predict as a job; the options are those of `predict`, without covariance.

        It goes on without this program: `job` finds it again by its id.
        """
        retrying = Retrying(**_retries.of_versions(self._settings.version_seconds))
        return retrying(self._submit, points, Options(**options), _requests.new_key())

    def _submit(self, points: Any, options: Options, key: str) -> Job:
        info = self._model or self.model()
        X = as_array(points, info.feature_names)
        try:
            status = self._do(_requests.submit(X, options, info.version, key))
        except VersionChanged:
            self._model = None
            raise
        return Job(self, status, Asked(options, info.outside(X), info.version))

    def train(self, data: Any, target: str, **options: Unpack[TrainingOptions]) -> Job:
        """Train a new version on a CSV file, a data frame or columns; it becomes the current one.

        See `TrainingOptions`; those that are not given are up to the service.
        """
        status = self._do(_requests.train(data, target, options, _requests.new_key()))
        self._model = None
        return Job(self, status)

    def activate(self, version: str) -> dict[str, Any]:
        """Serve this version: every replica does within two seconds."""
        self._model = None
        return self._do(_requests.activate(version))

    def models(self) -> dict[str, Any]:
        """All versions, with their scores."""
        return self._do(_requests.models())

    def jobs(self) -> list[JobStatus]:
        """One's own jobs, the newest first: with a token those that it sent, else those of all
        who send none.
        """
        return self._do(_requests.jobs())

    def job(self, id: str, options: Options | None = None) -> Job:
        """A job that was submitted before, with the options of its prediction."""
        return Job(self, self._do(_requests.job(id)), Asked(options or Options()))

    def _all(self, asked: Sequence[Call[T]]) -> list[T]:
        if len(asked) == 1:
            return [self._do(asked[0])]
        return together(self._do, asked, self._settings.concurrency)

    def _do(self, call: Call[T], sleep: Sleep = time.sleep) -> T:
        retrying = Retrying(**_retries.of_requests(self._settings.attempts), sleep=sleep)
        answer: T = retrying(self._send, call)
        return answer

    def _send(self, call: Call[T]) -> T:
        response = self._connections.own().request(
            call.method, call.path, params=call.params, headers=call.headers, content=call.content
        )
        return call.read(checked(response))


class Job:
    """A job: `status` is what was last seen of it."""

    def __init__(self, client: Client, status: JobStatus, asked: Asked | None = None) -> None:
        self._client = client
        self._asked = asked or Asked()
        self.status = status
        self.id = status.id

    def refresh(self) -> JobStatus:
        """Look how far it is."""
        self.status = self._client._do(_requests.job(self.id))
        return self.status

    def wait(self, *, timeout: float | None = None, progress: bool = False) -> JobStatus:
        """Wait for the end, with a progress bar if you like.

        Raises
        ------
        TimeoutError
            It is not over in `timeout` seconds; it goes on.
        """
        with Bar(self.status, shown=progress) as bar:
            for pause in pauses(timeout):
                time.sleep(pause)
                bar.show(self.refresh())
                if self.status.final:
                    return self.status
        raise TimeoutError(f"job {self.id} is {self.status.status} after {timeout} s")

    def result(self, *, timeout: float | None = None, progress: bool = False) -> Any:
        """Wait, then give the result: a `Prediction`, or what training says.

        Raises
        ------
        JobFailed
            There is none.
        """
        self.wait(timeout=timeout, progress=progress).refuse_failed()
        response = self._client._do(_requests.results(self.id))
        return result_of(response, self._asked)

    def cancel(self) -> JobStatus:
        """Stop it, if it is not over."""
        self.status = self._client._do(_requests.dismiss(self.id))
        return self.status


class OfProcess:
    """The connections of this process.

    A child that was forked has its parent's sockets: on them each would read the other's answers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made = os.getpid(), httpx.Client(**settings.http())

    def own(self) -> httpx.Client:
        """An HTTP client whose connections no other process uses.

        The parent's is dropped in the child: without a farewell that the parent's peers would hear.
        """
        process, http = self._made
        if process != os.getpid():
            # no lock: one that a thread held at the fork would never be released in the child
            http = httpx.Client(**self._settings.http())
            self._made = os.getpid(), http
        return http


A = TypeVar("A")

Sleep = Callable[[float], None]


def together(do: Callable[[A, Sleep], T], asked: Sequence[A], at_once: int) -> list[T]:
    """The answers of `do(a, sleep)` for each a, in their order.

    `sleep` is how `do` shall wait before it asks again: once one has failed, or the program is
    interrupted, it ends the others with a `CancelledError`. The first failure is raised.
    """
    given_up = threading.Event()

    def sleep(seconds: float) -> None:
        if given_up.wait(seconds):
            raise CancelledError

    executor = ThreadPoolExecutor(min(at_once, len(asked)), "gpserve")
    under_way_too = True
    try:
        return _answers([executor.submit(do, a, sleep) for a in asked])
    except KeyboardInterrupt:
        under_way_too = False
        raise
    finally:
        given_up.set()
        executor.shutdown(wait=under_way_too, cancel_futures=True)


def _answers(futures: Sequence[Future[T]]) -> list[T]:
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        if future in done:
            future.result()
    return [future.result() for future in futures]
