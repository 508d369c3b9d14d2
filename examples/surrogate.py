"""Many points to the service at once, in parallel requests, and which replicas answered."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_random_exponential

FloatArray = NDArray[np.float64]

PIECE = 2048
"""Points in a request: many enough to be computed at full speed, few enough to be shared out."""
PATIENCE_SECONDS = 120
_backoff = wait_random_exponential(multiplier=0.2, max=5)


class Busy(Exception):
    """The service is full or a replica is leaving: try again in `seconds`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.text)
        self.seconds = float(response.headers.get("Retry-After", 0))


@dataclass
class Answer:
    """Mean and variance at n points, with the seconds they took and the replicas that answered."""

    mean: FloatArray
    variance: FloatArray
    seconds: float
    replicas: frozenset[str]


def _wait(state: RetryCallState) -> float:
    """What the service asks for, and a random time on top, so that not all come back at once."""
    error = state.outcome.exception() if state.outcome else None
    return _backoff(state) + (error.seconds if isinstance(error, Busy) else 0.0)


class Surrogate:
    """The model behind a URL.

    Parameters
    ----------
    url : where the service is
    parallel : requests that are sent at once
    """

    def __init__(self, url: str, parallel: int) -> None:
        self.url = url.rstrip("/")
        self.parallel = parallel
        self.model: dict[str, Any] = httpx.get(f"{self.url}/model").raise_for_status().json()
        self.names: list[str] = self.model["feature_names"]
        self.range: FloatArray = np.array([self.model["training_range"][n] for n in self.names])

    def predict(self, X: FloatArray, *, noise: bool) -> Answer:
        """Answer X, shape (n, d), in pieces; `noise` adds that of an observation to the variance.

        The connections are new ones, since a connection stays with its replica: replicas that
        have come since the last call get their share.
        """
        started = perf_counter()
        pieces = np.array_split(X, max(min(self.parallel, len(X)), -(-len(X) // PIECE)))
        limits = httpx.Limits(max_connections=self.parallel)
        with (
            httpx.Client(base_url=self.url, limits=limits, timeout=60) as client,
            ThreadPoolExecutor(self.parallel) as pool,
        ):
            parts = list(pool.map(lambda piece: _retrying()(_ask, client, piece, noise), pieces))
        P = np.concatenate([numbers for numbers, _ in parts])
        replicas = frozenset(replica for _, replica in parts)
        return Answer(P[:, 0], P[:, 1], perf_counter() - started, replicas)


def _retrying() -> Retrying:
    """The rule of retrying for one request: its state is not shared between threads."""
    return Retrying(
        retry=retry_if_exception_type((Busy, httpx.TransportError)),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=_wait,
        reraise=True,
    )


def _ask(client: httpx.Client, X: FloatArray, noise: bool) -> tuple[FloatArray, str]:
    """One request as .npy: mean and variance, shape (n, 2), and the replica's mark."""
    body = io.BytesIO()
    np.save(body, X, allow_pickle=False)
    kind = "application/x-npy"
    response = client.post(
        "/predict",
        params={"noise": str(noise).lower()},
        content=body.getvalue(),
        headers={"Content-Type": kind, "Accept": kind},
    )
    if response.status_code in (429, 502, 503, 504):
        raise Busy(response)
    if response.is_error:
        raise RuntimeError(f"{response.status_code}: {response.text}")
    numbers: FloatArray = np.load(io.BytesIO(response.content), allow_pickle=False)
    return numbers, _replica(response)


def _replica(response: httpx.Response) -> str:
    """The part of a request id that a replica puts before its counter, new at each start."""
    return response.headers["X-Request-Id"].rpartition("-")[0]
