"""The metrics of a worker, and the server that shows them and answers the probes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from werkzeug.serving import WSGIRequestHandler, make_server

from service.jobs.queue import QUEUED, RUNNING
from service.jobs.records import Job, now
from service.runtime.metrics import METRICS_TYPE
from service.settings import listening

_DURATIONS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)


class WorkerMetrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.queued = Gauge(*QUEUED, registry=registry)
        self.running = Gauge(*RUNNING, registry=registry)
        computing = "What this worker is computing: at most a prediction and a training"
        self.busy = Gauge("worker_busy", computing, registry=registry)
        self.parts = Counter("job_chunks", "Parts of jobs computed here", registry=registry)
        returned = "Parts returned to the queue because this worker stopped"
        self.handed_back = Counter("job_chunks_handed_back", returned, registry=registry)
        labels = ["process", "status"]
        self._ended = Counter("jobs", "Jobs that ended here", labels, registry=registry)
        took = "Seconds from a job's start to its end, for the jobs that ended here"
        self._durations = Histogram(
            "job_duration_seconds", took, labels, buckets=_DURATIONS, registry=registry
        )

    def ended(self, job: Job, status: str) -> None:
        """Count a job that has ended here."""
        started = datetime.fromisoformat(job.started or job.created)
        took = (datetime.fromisoformat(now()) - started).total_seconds()
        self._ended.labels(job.process, status).inc()
        self._durations.labels(job.process, status).observe(took)


class _SilentHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: probes are frequent."""


def serve(address: tuple[str, int], metrics: WorkerMetrics, why_unready: Callable[[], str]) -> None:
    """Answer /healthz, /readyz and /metrics on a thread.

    `why_unready` returns the reason why the worker is not ready, or "".

    Raises `SettingsError`: the address cannot be listened on.
    """

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, kind, body = "200 OK", "text/plain", b"alive\n"
        if environ["PATH_INFO"] == "/metrics":
            kind, body = METRICS_TYPE, generate_latest(metrics.registry)
        elif environ["PATH_INFO"] == "/readyz":
            if reason := why_unready():
                status, body = "503 Service Unavailable", f"{reason}\n".encode()
        elif environ["PATH_INFO"] != "/healthz":
            status, body = "404 Not Found", b"paths: /healthz, /readyz, /metrics\n"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    with listening("worker_bind", *address) as listener:
        server = make_server(
            *address,
            application,
            threaded=True,
            request_handler=_SilentHandler,
            fd=listener.fileno(),
        )
    # It looks at intervals only for its own end, which is that of the process.
    serve_forever = partial(server.serve_forever, poll_interval=3600)
    threading.Thread(target=serve_forever, name="health", daemon=True).start()
