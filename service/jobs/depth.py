"""How deep the queue is, without its library: every server looks, few ever send a job."""

from __future__ import annotations

import logging
import threading
import time
from typing import cast

from redis import Redis

from service.runtime.metrics import Metrics
from service.runtime.pool import yield_priority

QUEUE = "jobs"
NAMESPACE = "gpserve-queue"


def queue_depth(redis: Redis) -> tuple[int, int]:
    """How many messages wait, and how many are being worked on."""
    pipeline = redis.pipeline(transaction=True)
    pipeline.llen(f"{NAMESPACE}:{QUEUE}")
    pipeline.hlen(f"{NAMESPACE}:{QUEUE}.msgs")
    waiting, known = cast(list[int], pipeline.execute())
    return waiting, max(0, known - waiting)


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
