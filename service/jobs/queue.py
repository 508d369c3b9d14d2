"""The queue: dramatiq on Redis. A message holds a job's id and a part number, never data."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, cast

from redis import Redis, RedisError

from service.runtime.metrics import Metrics
from service.runtime.pool import yield_priority
from service.storage.redis import connect

if TYPE_CHECKING:
    from dramatiq.brokers.redis import RedisBroker

QUEUE = "jobs"
ACTOR = "work"
NAMESPACE = "gpserve-queue"
HEARTBEAT_TIMEOUT_MS = 15_000
"""A worker that is silent for this long is considered dead, and another gets its message."""

QUEUED = "jobs_queued", "Messages that wait: jobs or parts of jobs"
RUNNING = "jobs_running", "Messages that workers are working on"

_ALWAYS = 1_000_000
"""How many of a million commands look for dead workers: all, since commands are few."""

_LOOK_SECONDS = 2.0

log = logging.getLogger(__name__)


def make_broker(redis: Redis) -> RedisBroker:
    """Make a broker without middleware: the worker does retries and time limits itself."""
    # Imported here: a server needs dramatiq for its first job only, and not to start.
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=redis,
        namespace=NAMESPACE,
        middleware=[],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=_ALWAYS,
    )
    broker.declare_queue(QUEUE)
    return broker


class Queue:
    """Sends work to the workers."""

    def __init__(self, redis: Redis) -> None:
        self._broker = make_broker(redis)

    def put(self, id: str, part: int) -> None:
        """Queue a part of a job."""
        from dramatiq import Message

        message: Message[None] = Message(
            queue_name=QUEUE, actor_name=ACTOR, args=(id, part), kwargs={}, options={}
        )
        self._broker.enqueue(message)


def queue_depth(redis: Redis) -> tuple[int, int]:
    """How many messages wait, and how many are being worked on."""
    pipeline = redis.pipeline(transaction=True)
    pipeline.llen(f"{NAMESPACE}:{QUEUE}")
    pipeline.hlen(f"{NAMESPACE}:{QUEUE}.msgs")
    waiting, known = cast(list[int], pipeline.execute())
    return waiting, max(0, known - waiting)


def show_depth(url: str, metrics: Metrics) -> None:
    """Keep the gauges ``jobs_queued`` and ``jobs_running`` up to date, on a thread."""
    threading.Thread(target=_follow, args=(url, metrics), name="depth", daemon=True).start()


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
