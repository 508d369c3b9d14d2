"""The synchronous client, for scripts and notebooks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import httpx2
from tenacity import Retrying

from gpserve_client import _requests, _retries
from gpserve_client._base import ClientBase, Settings
from gpserve_client._numbers import held
from gpserve_client._points import as_array
from gpserve_client._requests import Request, Submission
from gpserve_client._waiting import ProgressBar, pauses
from gpserve_client.answers import JobStatus, ModelInfo, Prediction
from gpserve_client.options import JobOptions, Options, TrainingOptions

A = TypeVar("A")
T = TypeVar("T")

Sleep = Callable[[float], None]


class Client(ClientBase):
    """A client of a gpserve service.

    ``gp = Client("http://localhost:5000"); gp.predict(X).mean``

    Parameters
    ----------
    url : of the service, with ``http://`` or ``https://``, perhaps with a path before the service's
    token : bearer token or key, required by `train`, `publish` and `activate`; jobs submitted with
        a key belong to it
    version : pins a version of the model: `VersionChanged` is raised if another one is served
    rows : maximum number of points per request; more points are split
    concurrency : maximum number of requests at the same time
    attempts : how often a request is sent at most while the server is full or unreachable; if the
        server asks to wait for more than two minutes, its error is raised at once
    timeout : seconds to wait for a connection or for more data; None waits forever
    headers : sent with every request, such as the ``Host`` that an ingress expects; an
        ``Authorization`` header replaces the token

    Raises
    ------
    ValueError
        `url` is no http or https address, `rows`, `concurrency` or `attempts` is less than 1, or
        `timeout` is not positive.

    Notes
    -----
    A forked process opens its own connections. A pickled copy has the same settings, including the
    token.
    """

    def __setstate__(self, settings: Settings) -> None:
        super().__setstate__(settings)
        self._http = _PerProcessHTTP(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.client().close()

    def model(self) -> ModelInfo:
        """Return the model that is served now."""
        self._model = self._settings.refuse_other_version(self._send(_requests.model()))
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
        pathwise: bool = False,
    ) -> Prediction:
        """Predict at points of shape (..., d).

        Many points are split into several requests, which are sent at the same time. All points
        are answered by the same version of the model.

        Parameters
        ----------
        points : numbers in lists, arrays or generators, of shape (..., d); or by name, in any order
            and with other columns beside them: a data frame (pandas, polars), a pyarrow table, a
            structured array, a mapping of columns in which a single number stands for all points,
            a row of a pandas data frame, a named tuple, a list of mappings, rows or named tuples. A
            categorical feature has words; only in an array of numbers it has their codes
        noise, interval, gradient, covariance, samples, seed, pathwise : see `Options`

        Raises
        ------
        ServiceError
            The service refuses the points, or stays full.
        httpx2.TransportError
            The service stays unreachable.
        ValueError
            The points have the wrong shape or columns, or are not real numbers.
        """
        options = Options(noise, interval, gradient, covariance, samples, seed, pathwise)
        return Retrying(**self._retry_version_change())(self._predict, held(points), options)

    def _predict(self, points: Any, options: Options) -> Prediction:
        info = self._model or self.model()
        plan = self._settings.plan(
            as_array(points, info.feature_names, info.categories), options, info
        )
        return plan.join(self._send_all(plan.requests()))

    def submit(self, points: Any, **options: Unpack[JobOptions]) -> Job:
        """Predict as a job, with the points and options of `predict`, except `covariance`.

        The job continues when this program ends; `job` finds it again by its ID.

        Raises `ServiceError`: among others, the server has no queue for jobs; use `predict`.
        """
        retrying = Retrying(**self._retry_version_change())
        return retrying(self._submit, held(points), Options(**options), _requests.new_key())

    def _submit(self, points: Any, options: Options, key: str) -> Job:
        info = self._model or self.model()
        X = as_array(points, info.feature_names, info.categories)
        status = self._send(_requests.submit(X, options, info.version, key))
        return Job(self, status, Submission(options, info.outside(X), info.version))

    def train(self, data: Any, target: str, **options: Unpack[TrainingOptions]) -> Job:
        """Train a new version as a job; it is served when the job ends, unless `activate=False`.

        Parameters
        ----------
        data : the path of a CSV file (also gzipped), a data frame or a mapping of columns
        target : name of the output column
        **options : see `TrainingOptions`
        """
        status = self._send(_requests.train(data, target, options, _requests.new_key()))
        self._forget_model()
        return Job(self, status)

    def activate(self, version: str, *, force: bool = False) -> dict[str, Any]:
        """Serve this version; every replica does within two seconds.

        Parameters
        ----------
        force : activate it even if its scores are clearly worse than those of the current version

        Raises
        ------
        ServiceError
            The version is clearly worse (409), or cannot be served.
        """
        self._forget_model()
        return self._send(_requests.activate(version, force))

    def publish(
        self, path: str | os.PathLike[str], *, activate: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """Store a model file (.npz) as a version, and return its description.

        Parameters
        ----------
        activate : serve it at once
        force : even if its scores are clearly worse than those of the current version

        Raises
        ------
        ServiceError
            The service refuses the file (422), or it is clearly worse (409): then it is stored, but
            not served.
        """
        self._forget_model()
        return self._send(_requests.publish(Path(path), activate, force))

    def diagnostics(self) -> dict[str, Any]:
        """Return how good the served model is: scores, verdict, and each row that it had not seen.

        ``pandas.DataFrame(gp.diagnostics()["rows"])`` is a table of the rows.
        """
        return self._send(_requests.diagnostics())

    def models(self) -> dict[str, Any]:
        """Return all versions with their scores."""
        return self._send(_requests.models())

    def jobs(self) -> list[JobStatus]:
        """Return the jobs submitted with this client's key, newest first.

        Raises `ServiceError`: 401 without a key; a job submitted without one is found by its id.
        """
        return self._send(_requests.jobs())

    def job(self, id: str, options: Options | None = None) -> Job:
        """Return a job that was submitted before, with these options if it is a prediction."""
        return Job(self, self._send(_requests.job(id)), Submission(options or Options()))

    def _send_all(self, requests: Sequence[Request[T]]) -> list[T]:
        if len(requests) == 1:
            return [self._send(requests[0])]
        return _map_in_threads(self._send, requests, self._settings.concurrency)

    def _send(self, request: Request[T], sleep: Sleep = time.sleep) -> T:
        retrying = Retrying(**_retries.while_unavailable(self._settings.attempts), sleep=sleep)
        result: T = retrying(self._send_once, request)
        return result

    def _send_once(self, request: Request[T]) -> T:
        response = self._http.client().request(
            request.method,
            request.path,
            params=request.params,
            headers=request.headers,
            content=request.content,
        )
        return request.result(response)


class Job:
    """A job of the service.

    Attributes
    ----------
    id : the ID by which `Client.job` finds it again
    status : its last known status
    """

    def __init__(
        self, client: Client, status: JobStatus, submission: Submission | None = None
    ) -> None:
        self._client = client
        self._submission = submission or Submission()
        self.status = status
        self.id = status.id

    def refresh(self) -> JobStatus:
        """Fetch and return the current status."""
        self.status = self._client._send(_requests.job(self.id))
        return self.status

    def wait(self, *, timeout: float | None = None, progress: bool = False) -> JobStatus:
        """Wait until the job ends; `progress` shows a progress bar on stderr.

        Raises
        ------
        TimeoutError
            The job has not ended after `timeout` seconds. It continues.
        """
        with ProgressBar(self.status, shown=progress) as bar:
            for pause in pauses(timeout):
                time.sleep(pause)
                bar.update(self.refresh())
                if self.status.final:
                    return self.status
        raise TimeoutError(f"job {self.id} is {self.status.status} after {timeout} s")

    def result(self, *, timeout: float | None = None, progress: bool = False) -> Any:
        """Wait until the job ends, and return its result.

        Returns
        -------
        A `Prediction`, or the JSON document of a training.

        Raises
        ------
        JobFailed
            The job ended without a result.
        TimeoutError
            The job has not ended after `timeout` seconds. It continues.
        ValueError
            The job was submitted with other options.
        """
        self.wait(timeout=timeout, progress=progress).refuse_failed()
        return self._client._send(_requests.results(self.id, self._submission))

    def cancel(self) -> JobStatus:
        """Cancel the job unless it has ended, and return its status."""
        self.status = self._client._send(_requests.dismiss(self.id))
        return self.status


class _PerProcessHTTP:
    """An HTTP client for each process.

    A forked process inherits the sockets of its parent. If both used them, they would read each
    other's responses.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = os.getpid(), httpx2.Client(**settings.http())

    def client(self) -> httpx2.Client:
        """Return the HTTP client of this process.

        After a fork, the client of the parent is dropped without closing it, so that no message
        about the end of a connection reaches the servers of the parent.
        """
        pid, client = self._client
        if pid != os.getpid():
            # no lock: a lock that a thread holds during a fork is never released in the child
            client = httpx2.Client(**self._settings.http())
            self._client = os.getpid(), client
        return client


def _map_in_threads(
    function: Callable[[A, Sleep], T], items: Sequence[A], concurrency: int
) -> list[T]:
    """Call `function(item, sleep)` for every item in threads; all stop when one fails.

    Returns
    -------
    The results, in the order of the items.

    Raises
    ------
    Exception
        The first exception that a call raised. To wait, `function` must call its `sleep` argument,
        which raises `CancelledError` once another call has failed or the program is interrupted.
    """
    stopped = threading.Event()

    def sleep(seconds: float) -> None:
        if stopped.wait(seconds):
            raise CancelledError

    executor = ThreadPoolExecutor(min(concurrency, len(items)), "gpserve")
    interrupted = False
    try:
        return _results([executor.submit(function, item, sleep) for item in items])
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        stopped.set()
        executor.shutdown(wait=not interrupted, cancel_futures=True)


def _results(futures: Sequence[Future[T]]) -> list[T]:
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        if future in done:
            future.result()
    return [future.result() for future in futures]
