"""What a worker shows to Prometheus and to the probes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from werkzeug.serving import WSGIRequestHandler, make_server

from service.jobs.records import Record, now
from service.runtime.metrics import METRICS_TYPE

_DURATIONS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)


class WorkerMetrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.queued = Gauge("jobs_queued", "Messages that wait: jobs, chunks", registry=registry)
        self.running = Gauge("jobs_running", "Messages being worked on", registry=registry)
        self.busy = Gauge("worker_busy", "1 while this worker works", registry=registry)
        self._ended = Counter(
            "jobs", "Jobs that ended here", ["process", "status"], registry=registry
        )
        self.chunks = Counter("job_chunks", "Chunks computed here", registry=registry)
        self.handed_back = Counter(
            "job_chunks_handed_back", "Chunks given back to the queue at a stop", registry=registry
        )
        self._durations = Histogram(
            "job_duration_seconds",
            "Seconds from a job's start to its end, of the jobs that ended here",
            ["process", "status"],
            buckets=_DURATIONS,
            registry=registry,
        )

    def ended(self, record: Record, status: str) -> None:
        """Count a job that has ended here."""
        started = datetime.fromisoformat(record.started or record.created)
        took = (datetime.fromisoformat(now()) - started).total_seconds()
        self._ended.labels(record.process, status).inc()
        self._durations.labels(record.process, status).observe(took)


class _Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Probes are not logged."""


def serve(address: str, metrics: WorkerMetrics, ready: Callable[[], str]) -> None:
    """Answer /healthz, /readyz and /metrics on a thread; `ready` says why not, or nothing."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, kind, body = "200 OK", "text/plain", b"alive\n"
        if environ["PATH_INFO"] == "/metrics":
            kind, body = METRICS_TYPE, generate_latest(metrics.registry)
        elif environ["PATH_INFO"] == "/readyz":
            reason = ready()
            status, body = (
                ("503 Service Unavailable" if reason else status),
                reason.encode() or body,
            )
        elif environ["PATH_INFO"] != "/healthz":
            status, body = "404 Not Found", b"/healthz, /readyz and /metrics are here\n"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    host, _, port = address.rpartition(":")
    server = make_server(host, int(port), application, threaded=True, request_handler=_Silent)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
