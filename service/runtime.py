"""The parts of one serving process, made once and handed to the routes."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from service.backlog import Backlog
from service.batching import Batcher
from service.live import Live
from service.metrics import Metrics
from service.model import FloatArray, Model
from service.services.prediction import Limits
from service.settings import Settings
from service.tally import Tally
from service.tilepool import TilePool

_MEASURED_POINTS = 64


class Runtime:
    """Settings, the live model, and what computes and counts.

    Raises
    ------
    SettingsError, ModelFileError, OSError
        The model that the settings name cannot be served.
    """

    def __init__(self, settings: Settings) -> None:
        # Whole tiles run side by side instead: see tilepool.py.
        threadpool_limits(1, "blas")
        self.settings = settings
        self.live = Live(settings)
        self.metrics = Metrics()
        self.tally = Tally(self.metrics)
        self.pool = TilePool()
        cost = _measure(self.live.model)
        self.batcher = Batcher(Backlog(settings.max_backlog_seconds, cost), self.pool, self.metrics)
        self.uploads = Backlog(float("inf"), cost)
        self.limits = Limits(settings.max_covariance_points, settings.max_sample_values)
        self.draining = False

    def start(self) -> None:
        """Begin work in the process that serves; more calls do nothing."""
        self.metrics.serving(self.live.model.description)
        self.metrics.tick_in_background(self.backlog_seconds)

    def backlog_seconds(self) -> float:
        """Estimated seconds of everything accepted."""
        return self.batcher.backlog.seconds + self.uploads.seconds

    def predict(self, model: Model, X: FloatArray, noise: bool) -> FloatArray:
        """Mean and variance on a thread: few points in a batch, many on all CPUs."""
        if len(X) < model.large_tile:
            return self.batcher.predict_on_thread(model, X.tolist(), noise).P
        started = perf_counter()
        P = self.pool.predict(model, X, noise)
        self.metrics.predicted(len(X), perf_counter() - started)
        return P


def _measure(model: Model) -> float:
    """Seconds a point in a batch, as a first estimate."""
    low, high = model.description.training_range.T
    X = np.linspace(low, high, _MEASURED_POINTS)
    started = perf_counter()
    model.predict(X)
    return (perf_counter() - started) / _MEASURED_POINTS
