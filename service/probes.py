"""What the probes and the scraper are told, whichever way they come in."""

from __future__ import annotations

from collections.abc import Callable

from service.runtime import Runtime

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def liveness(runtime: Runtime) -> tuple[int, dict[str, str]]:
    """The process lives: its event loop or a thread of it answers."""
    return 200, {"status": "alive"}


def readiness(runtime: Runtime) -> tuple[int, dict[str, str]]:
    """Requests are welcome: a proven model is loaded and the process is not draining."""
    if runtime.draining:
        return 503, {"status": "draining"}
    return 200, {"status": "ready", "version": runtime.live.model.description.version}


def v2_liveness(runtime: Runtime) -> tuple[int, dict[str, bool]]:
    """Liveness in the words of the Open Inference Protocol v2."""
    return 200, {"live": True}


def v2_readiness(runtime: Runtime) -> tuple[int, dict[str, bool]]:
    """Readiness in the words of the Open Inference Protocol v2."""
    status, _ = readiness(runtime)
    return status, {"ready": status == 200, "live": True}


PROBES: dict[str, Callable[[Runtime], tuple[int, dict[str, str] | dict[str, bool]]]] = {
    "/healthz": liveness,
    "/readyz": readiness,
    "/v2/health/live": v2_liveness,
    "/v2/health/ready": v2_readiness,
}
