"""The queue's depth among a server's metrics: autoscalers read it also when no worker is there."""

from __future__ import annotations

import logging
import threading
import time

from service.runtime.metrics import Metrics
from service.runtime.pool import yield_priority

_LOOK_SECONDS = 2.0

log = logging.getLogger(__name__)


def show_depth(url: str, metrics: Metrics) -> None:
    """Keep the gauges ``jobs_queued`` and ``jobs_running`` fresh, on a thread."""
    thread = threading.Thread(target=_follow, args=(url, metrics), name="depth", daemon=True)
    thread.start()


def _follow(url: str, metrics: Metrics) -> None:
    yield_priority()
    # Imported here: a server is ready before this thread is.
    from redis import RedisError

    from service.jobs.depth import queue_depth
    from service.storage.redis import connect

    redis = connect(url)
    queued = metrics.common_gauge("jobs_queued", "Messages that wait: jobs, chunks")
    running = metrics.common_gauge("jobs_running", "Messages that workers work on")
    reached = True
    while True:
        try:
            waiting, working = queue_depth(redis)
            queued.set(waiting)
            running.set(working)
            reached = True
        except RedisError as error:
            if reached:
                log.warning("the job queue does not answer: %s", error)
            reached = False
        time.sleep(_LOOK_SECONDS)
