"""The answers to liveness and readiness probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.runtime.runtime import Runtime


def liveness(runtime: Runtime) -> tuple[int, dict[str, str]]:
    """Report that the process is alive: its event loop or one of its threads answers."""
    return 200, {"status": "alive"}


def readiness(runtime: Runtime) -> tuple[int, dict[str, Any]]:
    """Report whether requests are welcome: a model is loaded and the process is not draining.

    A process that has not yet asked the model store which version is current is not ready: a stale
    answer is worse than one replica less. Once it has asked, it stays ready without the store.
    """
    if runtime.draining:
        return 503, {"status": "draining"}
    version = runtime.live.model.description.version
    follower = runtime.follower
    if follower is not None and not follower.polled:
        return 503, {"status": "the model store has not answered yet", "version": version}
    document = {"status": "ready", "version": version}
    return 200, document | ({"refused": follower.refused} if follower and follower.refused else {})


def v2_liveness(runtime: Runtime) -> tuple[int, dict[str, Any]]:
    """Report liveness as in the Open Inference Protocol v2."""
    return 200, {"live": True}


def v2_readiness(runtime: Runtime) -> tuple[int, dict[str, Any]]:
    """Report readiness as in the Open Inference Protocol v2."""
    status, _ = readiness(runtime)
    return status, {"ready": status == 200, "live": True}


PROBES: dict[str, Callable[[Runtime], tuple[int, dict[str, Any]]]] = {
    "/healthz": liveness,
    "/readyz": readiness,
    "/v2/health/live": v2_liveness,
    "/v2/health/ready": v2_readiness,
}
