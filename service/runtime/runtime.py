"""The parts of one serving process, created once and passed to the routes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from service.model import Diagnostics, FloatArray, Model
from service.runtime.backlog import Backlog
from service.runtime.batching import Batcher
from service.runtime.keys import Keys
from service.runtime.live import Follower, Live, open_store
from service.runtime.logs import RequestLog
from service.runtime.metrics import Metrics
from service.runtime.pool import TilePool
from service.runtime.ratelimits import RateLimits
from service.services.chunks import row_ranges
from service.services.prediction import Limits
from service.settings import Settings
from service.storage.versions import Versions

_MEASURED_POINTS = 64

_DERIVED_AT_ONCE = 64
"""A second derivative costs as much as some twenty predictions: so many take a fraction of a second
for any model, and a multiple of what the model itself takes at once keeps the bits."""


class Runtime:
    """The settings, the callers, the served model, the batcher, the thread pool and the metrics.

    Raises `SettingsError`, `ModelFileError`: the model in the settings cannot be served, or the
    keys or the store cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        # Whole tiles run in parallel instead: see pool.py.
        threadpool_limits(1, "blas")
        self.settings = settings
        self.keys = Keys(settings)
        self.rates = RateLimits(settings.redis_url)
        self.live = Live(settings)
        self.metrics = Metrics()
        self.requests = RequestLog(self.metrics.begin, self.metrics.end, settings.access_log)
        self.pool = TilePool()
        cost = _measure(self.live.model)
        self.batcher = Batcher(Backlog(settings.max_backlog_seconds, cost), self.pool, self.metrics)
        self.uploads = Backlog(float("inf"), cost)
        self.derivatives = Backlog(float("inf"), cost)
        self.limits = Limits(settings.max_covariance_points, settings.max_sample_values)
        self.draining = False
        self._started_in = 0
        self._stored_initial = False
        self._diagnosing = threading.Lock()
        self._diagnosed: dict[str, Diagnostics] = {}
        self._start_hooks: list[Callable[[], None]] = []
        self.versions, self.follower = _versions(settings, self.live)

    def start(self) -> None:
        """Start the background threads of a serving process; later calls do nothing."""
        if self._started_in == os.getpid():
            return
        self._started_in = os.getpid()
        if self.follower is not None:
            self.follower.start(self._show_version)
        self._show_version()
        self.metrics.tick_in_background(self.backlog_seconds)
        for hook in self._start_hooks:
            hook()

    def on_start(self, hook: Callable[[], None]) -> None:
        """Register a function that each process that serves calls once, when it starts."""
        self._start_hooks.append(hook)

    def _show_version(self) -> None:
        self.metrics.show_model(self.live.model.description)
        self.metrics.refused.set(bool(self.follower and self.follower.refused))

    def store_initial(self) -> None:
        """Store the model of the settings, so that it can be activated again later."""
        if self.versions is not None and not self._stored_initial:
            self.versions.add(self.live.initial.model, self.live.initial.path)
            self._stored_initial = True

    def backlog_seconds(self) -> float:
        """Return the estimated seconds of all accepted work."""
        return self.batcher.backlog.seconds + self.uploads.seconds + self.derivatives.seconds

    def diagnostics(self, model: Model) -> Diagnostics:
        """Return a model's diagnostics, on a thread: computed once, and kept for one version.

        Raises `Unsupported`: the model has none.
        """
        version = model.description.version
        with self._diagnosing:
            if version not in self._diagnosed:
                self._diagnosed = {version: model.diagnostics()}
            return self._diagnosed[version]

    def predict(self, model: Model, X: FloatArray, noise: bool) -> FloatArray:
        """Return mean and variance, on a thread: few points in a batch, many on all CPUs."""
        if len(X) < model.large_tile:
            return self.batcher.predict(model, X.tolist(), noise).P
        started = perf_counter()
        self.uploads.add(len(X))
        try:
            P = self.pool.predict(model, X, noise)
        except Exception:
            self.uploads.done(len(X))
            raise
        took = perf_counter() - started
        self.uploads.done(len(X), took)
        self.metrics.count_points(len(X), took)
        return P

    def derive(
        self,
        proceed: Callable[[], None],
        function: Callable[..., FloatArray],
        /,
        *arrays: FloatArray,
    ) -> FloatArray:
        """Return the values of a function at all rows, which are points that take long.

        Parameters
        ----------
        proceed : called before each part; what it raises ends the computation
        function : of as many arrays, of which it gets the same rows
        """
        left, parts = len(arrays[0]), []
        self.derivatives.add(left)
        try:
            for a, b in row_ranges(left, _DERIVED_AT_ONCE):
                proceed()
                started = perf_counter()
                parts.append(function(*(array[a:b] for array in arrays)))
                self.derivatives.done(b - a, perf_counter() - started)
                left -= b - a
        finally:
            self.derivatives.done(left)
        return np.concatenate(parts)


def _versions(settings: Settings, live: Live) -> tuple[Versions | None, Follower | None]:
    """Return the configured model store and its follower, which serves the current version now."""
    if not settings.store_url:
        return None, None
    versions = Versions(open_store(settings))
    follower = Follower(live, versions)
    follower.check()
    return versions, follower


def _measure(model: Model) -> float:
    """Return a first estimate of the seconds per point in a batch: the least of three timings.

    A single timing may include CPU contention. With too high an estimate large requests are
    refused, and a refused request cannot correct the estimate.
    """
    X = model.description.points_across(_MEASURED_POINTS)

    def timed() -> float:
        started = perf_counter()
        model.predict(X)
        return perf_counter() - started

    return min(timed() for _ in range(3)) / _MEASURED_POINTS
