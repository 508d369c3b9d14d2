"""How many messages the queue holds, and the gauges that show it."""

from __future__ import annotations

import logging
import threading
import time
from typing import cast

from redis import Redis, RedisError

from service.runtime.metrics import Metrics
from service.runtime.pool import yield_priority
from service.storage.redis import connect

QUEUE = "jobs"
NAMESPACE = "gpserve-queue"

QUEUED = "jobs_queued", "Messages that wait: jobs or parts of jobs"
RUNNING = "jobs_running", "Messages that workers are working on"

_LOOK_SECONDS = 2.0

log = logging.getLogger(__name__)


def queue_depth(redis: Redis) -> tuple[int, int]:
    """How many messages wait, and how many are being worked on."""
    pipeline = redis.pipeline(transaction=True)
    pipeline.llen(f"{NAMESPACE}:{QUEUE}")
    pipeline.hlen(f"{NAMESPACE}:{QUEUE}.msgs")
    waiting, known = cast(list[int], pipeline.execute())
    return waiting, max(0, known - waiting)


def show_depth(url: str, metrics: Metrics) -> None:
    """Keep the gauges ``jobs_queued`` and ``jobs_running`` up to date, on a thread."""
    thread = threading.Thread(target=_follow, args=(url, metrics), name="depth", daemon=True)
    thread.start()


def _follow(url: str, metrics: Metrics) -> None:
    yield_priority()
    redis = connect(url)
    queued, running = metrics.common_gauge(*QUEUED), metrics.common_gauge(*RUNNING)
    reached = True
    while True:
        try:
            waiting, working = queue_depth(redis)
            queued.set(waiting)
            running.set(working)
            reached = True
        except RedisError as error:
            if reached:
                log.warning("the job queue is unavailable: %s", error)
            reached = False
        time.sleep(_LOOK_SECONDS)
