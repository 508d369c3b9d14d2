"""Predictions of many points in parallel requests, with the replicas that answered."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import perf_counter

import click
import numpy as np
from gpserve_client import Client
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PIECE = 2048
"""Points per request: enough to be computed at full speed, few enough to be distributed."""
ATTEMPTS = 60
"""Attempts per request while the service is busy: for a minute or two."""
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
    url : the service's URL
    parallel : number of parallel requests
    host : the service's name at an ingress, if the URL has only the address

    The environment variable GPSERVE_TOKEN may have a key, which a closed service requires.
    """

    def __init__(self, url: str, parallel: int, host: str = "") -> None:
        self.url, self.parallel = url, parallel
        self.headers = {"Host": host} if host else {}
        self.token = os.environ.get("GPSERVE_TOKEN", "")
        with Client(url, token=self.token, headers=self.headers) as gp:
            self.model = gp.model()

    def predict(self, X: FloatArray, *, noise: bool) -> Answer:
        """Predict X, shape (n, d), in pieces; with `noise` the variance is that of an observation.

        Each call opens new connections, since a connection stays with its replica: replicas added
        since the last call get their share. Small arrays are split, too.
        """
        started = perf_counter()
        rows = min(PIECE, -(-len(X) // self.parallel))
        with Client(
            self.url,
            token=self.token,
            rows=rows,
            concurrency=self.parallel,
            attempts=ATTEMPTS,
            headers=self.headers,
        ) as gp:
            answer = gp.predict(X, noise=noise)
        seconds = perf_counter() - started
        return Answer(answer.mean, answer.variance, seconds, answer.answered_by)
