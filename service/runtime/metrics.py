"""The metrics that Prometheus and the autoscalers read."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service.model import Description
from service.services.v2 import Totals

disable_created_metrics()  # type: ignore[no-untyped-call]  # unused

Kind = tuple[str, str, int]
"""Method, route and status."""

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RATE_WINDOW_SECONDS = 5
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNCOUNTED_ROUTES = frozenset(
    {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
)
"""Probes and scrapes are not load: the rate that autoscalers read leaves them out."""

_DURATIONS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_POINTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Distribution(Histogram):
    """A histogram that records several observations for the price of one.

    Everything that is used here of prometheus_client's internals stands in `observe_all`.
    """

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Record each amount, as a call of `observe` for each would."""
        self._sum.inc(sum(amounts))
        buckets = [bisect_left(self._upper_bounds, amount) for amount in amounts]
        for bucket in set(buckets):
            self._buckets[bucket].inc(buckets.count(bucket))


class Metrics:
    """The metrics of this process; those of several processes are summed when they are scraped."""

    def __init__(self) -> None:
        self._multiprocess = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
        self._registry = registry = CollectorRegistry()
        summed = partial(Gauge, multiprocess_mode="livesum", registry=registry)
        self._requests = Counter(
            "http_requests", "Requests answered", ["method", "route", "code"], registry=registry
        )
        self._unreadable = Counter(
            "http_unreadable_requests",
            "Requests that could not be read, by the answer that ended their connection",
            ["code"],
            registry=registry,
        )
        self._durations = Distribution(
            "http_request_duration_seconds",
            "Seconds from a request's header to the end of its answer",
            ["method", "route"],
            buckets=_DURATIONS,
            registry=registry,
        )
        self.in_progress = summed("http_requests_in_progress", "Requests being answered")
        self._points = Counter("predicted_points", "Points predicted", registry=registry)
        self._batch_points = Distribution(
            "prediction_batch_points", "Points in one product", buckets=_POINTS, registry=registry
        )
        self._seconds = Distribution(
            "prediction_seconds",
            "Seconds of one product, or of one chunk of a large request",
            buckets=_DURATIONS,
            registry=registry,
        )
        self._rate = summed(
            "http_requests_per_second",
            f"Requests per second over the last {RATE_WINDOW_SECONDS} s, without probes",
        )
        self._backlog = summed("predict_backlog_seconds", "Estimated seconds of accepted work")
        self._info = self.common_gauge(
            "model_info",
            "The model that is served",
            ["name", "version", "kernel", "training_points"],
        )
        self.refused = self.common_gauge(
            "model_version_refused",
            "1 while the store's current version cannot be served and the old one stays",
        )
        self._process: dict[str, Gauge] = {}
        if self._multiprocess:  # ProcessCollector knows only the process that answers the scrape
            self._process = {name: summed(name, text) for name, text in _PROCESS_METRICS.items()}
        else:
            ProcessCollector(registry=registry)
        self._children: dict[Kind, tuple[Counter, Distribution]] = {}
        self._shown: Gauge | None = None
        self._lock = threading.Lock()
        self._counted = 0

    def common_gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Return a gauge that has the same value in all processes."""
        return Gauge(name, text, labels, multiprocess_mode="livemax", registry=self._registry)

    def show_model(self, d: Description) -> None:
        """Show which model is served."""
        if self._shown is not None:
            self._shown.set(0)
        self._shown = self._info.labels(d.name, d.version, d.kernel, str(d.training_points))
        self._shown.set(1)

    def begin(self) -> None:
        """Count a request as in progress."""
        self.in_progress.inc()

    def end(self, kind: Kind, seconds: float) -> None:
        """Count a request that began as answered."""
        self.in_progress.dec()
        self.count_requests(kind, (seconds,))

    def count_requests(self, kind: Kind, seconds: Sequence[float]) -> None:
        """Count answered requests of one kind, each by its seconds."""
        children = self._children.get(kind)
        if children is None:
            method, route, code = kind
            method = method if method in METHODS else "other"
            children = self._children[kind] = (
                self._requests.labels(method, route, str(code)),
                self._durations.labels(method, route),
            )
        children[0].inc(len(seconds))
        children[1].observe_all(seconds)
        if kind[1] not in UNCOUNTED_ROUTES:
            with self._lock:
                self._counted += len(seconds)

    def count_unreadable(self, code: int) -> None:
        """Count a request that was not understood, too large, or that did not arrive in time."""
        self._unreadable.labels(str(code)).inc()

    def count_points(self, points: int, seconds: float) -> None:
        """Count the points of one product."""
        self._points.inc(points)
        self._batch_points.observe_all((points,))
        self._seconds.observe_all((seconds,))

    def tick_in_background(self, backlog_seconds: Callable[[], float]) -> None:
        """Start the thread that updates the gauges."""
        tick = partial(self._tick, backlog_seconds)
        threading.Thread(target=tick, name="gauges", daemon=True).start()

    def _tick(self, backlog_seconds: Callable[[], float]) -> None:
        marks = deque([(time.monotonic(), self._counted)], RATE_WINDOW_SECONDS + 1)
        process = ProcessCollector(registry=None)
        while True:
            time.sleep(1)
            marks.append((time.monotonic(), self._counted))
            (start, before), (now, seen) = marks[0], marks[-1]
            self._rate.set((seen - before) / (now - start))
            self._backlog.set(backlog_seconds())
            if self._process:
                self._show_process(process)

    def _show_process(self, process: ProcessCollector) -> None:
        for metric in process.collect():
            for sample in metric.samples:
                if sample.name in self._process:
                    self._process[sample.name].set(sample.value)

    def _all_processes(self) -> CollectorRegistry:
        if not self._multiprocess:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def exposition(self) -> bytes:
        """Return what a scrape reads, summed over all processes."""
        return generate_latest(self._all_processes())

    def totals(self) -> Totals:
        """Return how much all processes have predicted since they started."""
        samples = {
            sample.name: sample.value
            for metric in self._all_processes().collect()
            if metric.name in ("predicted_points", "prediction_seconds")
            for sample in metric.samples
        }
        return Totals(
            int(samples.get("predicted_points_total", 0)),
            int(samples.get("prediction_seconds_count", 0)),
            samples.get("prediction_seconds_sum", 0.0),
        )


_PROCESS_METRICS = {
    "process_cpu_seconds_total": "CPU seconds of the serving processes",
    "process_resident_memory_bytes": "Resident memory of the serving processes",
    "process_open_fds": "Open file descriptors of the serving processes",
}


class LoopCounts:
    """Collects counts on the event loop and adds them to the metrics once per loop iteration.

    A metric takes a lock for each number that it adds. Counted one by one, requests of one point
    would spend a tenth of their time there.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._scheduled = False
        self._in_progress = 0
        self._seconds: defaultdict[Kind, list[float]] = defaultdict(list)

    def begin(self) -> None:
        """Count a request as in progress."""
        self._in_progress += 1
        self._schedule()

    def end(self, kind: Kind, seconds: float) -> None:
        """Count a request that began as answered."""
        self._in_progress -= 1
        self._seconds[kind].append(seconds)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        in_progress, self._in_progress = self._in_progress, 0
        if in_progress:
            self._metrics.in_progress.inc(in_progress)
        collected, self._seconds = self._seconds, defaultdict(list)
        for kind, seconds in collected.items():
            self._metrics.count_requests(kind, seconds)
