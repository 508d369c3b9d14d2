"""What the probes and the scraper are told, whichever way they come in."""

from __future__ import annotations

from typing import Any

from service.runtime import Runtime

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def liveness() -> tuple[int, dict[str, str]]:
    """The process lives: its event loop or a thread of it answers."""
    return 200, {"status": "alive"}


def readiness(runtime: Runtime) -> tuple[int, dict[str, Any]]:
    """Requests are welcome: a proven model is loaded and the process is not draining.

    A process that could not yet ask the model store which version is current is not ready:
    a stale answer is worse than a replica less. One that has asked stays ready without the store.
    """
    if runtime.draining:
        return 503, {"status": "draining"}
    version = runtime.live.model.description.version
    follower = runtime.follower
    if follower is not None and not follower.seen:
        return 503, {"status": "the model store has not answered yet", "version": version}
    document = {"status": "ready", "version": version}
    return 200, document | ({"refused": follower.refused} if follower and follower.refused else {})
