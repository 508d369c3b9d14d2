"""Many points to the service at once, in parallel requests, and which replicas answered."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import click
import numpy as np
from gpserve_client import Client
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PIECE = 2048
"""Points in a request: many enough to be computed at full speed, few enough to be shared out."""
ATTEMPTS = 60
"""How often a request is sent while the service is full: for a minute or two."""
AT_LEAST_ONE = click.IntRange(min=1)


@dataclass
class Answer:
    """Mean and variance at n points, with the seconds they took and the replicas that answered."""

    mean: FloatArray
    variance: FloatArray
    seconds: float
    replicas: frozenset[str]


class Surrogate:
    """The model behind a URL.

    Parameters
    ----------
    url : where the service is
    parallel : requests that are sent at once
    host : the name by which an ingress knows the service, when the URL has only its address
    """

    def __init__(self, url: str, parallel: int, host: str = "") -> None:
        self.url, self.parallel = url, parallel
        self.headers = {"Host": host} if host else {}
        with Client(url, headers=self.headers) as gp:
            self.model = gp.model()

    def predict(self, X: FloatArray, *, noise: bool) -> Answer:
        """Answer X, shape (n, d), in pieces; `noise` adds that of an observation to the variance.

        The client and its connections are new ones, since a connection stays with its replica:
        replicas that have come since the last call get their share. A few points are cut, too.
        """
        started = perf_counter()
        rows = min(PIECE, -(-len(X) // self.parallel))
        with Client(
            self.url,
            rows=rows,
            concurrency=self.parallel,
            attempts=ATTEMPTS,
            headers=self.headers,
        ) as gp:
            answer = gp.predict(X, noise=noise)
        seconds = perf_counter() - started
        return Answer(answer.mean, answer.variance, seconds, answer.answered_by)
