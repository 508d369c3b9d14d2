"""What Prometheus and the autoscalers see."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

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

disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody reads them

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RATE_WINDOW_SECONDS = 5
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNCOUNTED_ROUTES = frozenset(
    {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
)
"""Probes and scrapes are no load: they are left out of the rate that autoscalers read."""

_DURATIONS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_POINTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Distribution(Histogram):
    """A histogram that takes several observations at once, at the price of one."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Do what `observe` of each amount does."""
        self._sum.inc(sum(amounts))
        buckets = [bisect_left(self._upper_bounds, amount) for amount in amounts]
        for bucket in set(buckets):
            self._buckets[bucket].inc(buckets.count(bucket))


class Metrics:
    """The metrics of this process; with several processes they are summed at the scrape."""

    def __init__(self) -> None:
        self.multiprocess = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests", "Requests answered", ["method", "route", "code"], registry=registry
        )
        self._durations = Distribution(
            "http_request_duration_seconds",
            "Seconds from a request's header to the end of its answer",
            ["method", "route"],
            buckets=_DURATIONS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "http_requests_in_progress",
            "Requests being answered",
            multiprocess_mode="livesum",
            registry=registry,
        )
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
        self._gauges(registry)
        self._children: dict[tuple[str, str, int], tuple[Counter, Distribution]] = {}
        self._serving: Gauge | None = None
        self._lock = threading.Lock()
        self._seen = 0
        self._ticking: int | None = None

    def _gauges(self, registry: CollectorRegistry) -> None:
        self._rate = Gauge(
            "http_requests_per_second",
            f"Requests per second over the last {RATE_WINDOW_SECONDS} s, without probes",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._backlog = Gauge(
            "predict_backlog_seconds",
            "Estimated seconds of accepted work",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._info = Gauge(
            "model_info",
            "The model that is served",
            ["name", "version", "kernel", "training_points"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.refused = Gauge(
            "model_version_refused",
            "1 while the store's current version cannot be served and the old one stays",
            multiprocess_mode="livemax",
            registry=registry,
        )
        if self.multiprocess:  # the library's collector sees only the process that is scraped
            self._process = {
                name: Gauge(name, text, multiprocess_mode="livesum", registry=registry)
                for name, text in _PROCESS_METRICS.items()
            }
        else:
            self._process = {}
            ProcessCollector(registry=registry)

    def common_gauge(self, name: str, text: str) -> Gauge:
        """A gauge that is the same in all processes."""
        return Gauge(name, text, multiprocess_mode="livemax", registry=self._registry)

    def serving(self, d: Description) -> None:
        """Say which model is served."""
        if self._serving is not None:
            self._serving.set(0)
        self._serving = self._info.labels(d.name, d.version, d.kernel, str(d.training_points))
        self._serving.set(1)

    def answered(self, method: str, route: str, code: int, *seconds: float) -> None:
        """Count answered requests, each with its seconds; `route` is a template, never a path."""
        key = (method, route, code)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = self._new_children(*key)
        children[0].inc(len(seconds))
        children[1].observe_all(seconds)
        if route not in UNCOUNTED_ROUTES:
            with self._lock:
                self._seen += len(seconds)

    def _new_children(self, method: str, route: str, code: int) -> tuple[Counter, Distribution]:
        method = method if method in METHODS else "other"
        return (
            self._requests.labels(method, route, str(code)),
            self._durations.labels(method, route),
        )

    def predicted(self, points: int, seconds: float) -> None:
        """Count one product."""
        self._points.inc(points)
        self._batch_points.observe_all((points,))
        self._seconds.observe_all((seconds,))

    def tick_in_background(self, backlog_seconds: Callable[[], float]) -> None:
        """Start the thread that keeps the gauges fresh, once in each process."""
        with self._lock:
            if self._ticking == os.getpid():
                return
            self._ticking = os.getpid()
        thread = threading.Thread(
            target=self._tick, args=(backlog_seconds,), name="gauges", daemon=True
        )
        thread.start()

    def _tick(self, backlog_seconds: Callable[[], float]) -> None:
        marks = deque([(time.monotonic(), self._seen)], RATE_WINDOW_SECONDS + 1)
        process = ProcessCollector(registry=None)
        while True:
            time.sleep(1)
            marks.append((time.monotonic(), self._seen))
            (start, before), (now, seen) = marks[0], marks[-1]
            self._rate.set((seen - before) / (now - start))
            self._backlog.set(backlog_seconds())
            for metric in process.collect():
                for sample in metric.samples:
                    if sample.name in self._process:
                        self._process[sample.name].set(sample.value)

    def _all_processes(self) -> CollectorRegistry:
        if not self.multiprocess:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def exposition(self) -> bytes:
        """The text that a scrape gets: of all processes when there are several."""
        return generate_latest(self._all_processes())

    def totals(self) -> Totals:
        """What has been predicted since the start, by all processes."""
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


Kind = tuple[str, str, int]
"""Method, route, status."""


class Tally:
    """Counts requests on the event loop's thread and hands the sums to the metrics.

    A metric takes a lock for each number that it adds: counted one by one, requests of one point
    would spend a tenth of their time there.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._scheduled = False
        self._running = 0
        self._seconds: defaultdict[Kind, list[float]] = defaultdict(list)

    def begin(self) -> None:
        """Count a request that has arrived."""
        self._running += 1
        self._schedule()

    def leave(self) -> None:
        """Take back a request that somebody else counts."""
        self._running -= 1
        self._schedule()

    def end(self, kind: Kind, seconds: float) -> None:
        """Count a request that has been answered."""
        self._running -= 1
        self._seconds[kind].append(seconds)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = False
        running, self._running = self._running, 0
        if running:
            self._metrics.in_progress.inc(running)
        seconds, self._seconds = self._seconds, defaultdict(list)
        for (method, route, code), each in seconds.items():
            self._metrics.answered(method, route, code, *each)
