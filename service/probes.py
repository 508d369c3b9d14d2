"""What the probes and the scraper are told, whichever way they come in."""

from __future__ import annotations

from service.runtime import Runtime

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def liveness() -> tuple[int, dict[str, str]]:
    """The process lives: its event loop or a thread of it answers."""
    return 200, {"status": "alive"}


def readiness(runtime: Runtime) -> tuple[int, dict[str, str]]:
    """Requests are welcome: a proven model is loaded and the process is not draining."""
    if runtime.draining:
        return 503, {"status": "draining"}
    return 200, {"status": "ready", "version": runtime.live.model.description.version}
