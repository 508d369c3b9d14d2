"""The queues: dramatiq on Redis. A message holds a job's id and a part number, never data."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, cast

from redis import Redis, RedisError

from service.jobs.ledger import LATER
from service.jobs.records import Job
from service.jobs.specs import BEGIN
from service.runtime.metrics import Metrics
from service.runtime.pool import yield_priority
from service.storage.redis import SHORT_ANSWER_SECONDS, connect, explained

if TYPE_CHECKING:
    from dramatiq.brokers.redis import RedisBroker

JOBS, PARTS, TRAININGS = "jobs", "parts", "trainings"
"""The first messages of predictions, which plan large ones and compute small ones; the parts of
large ones; and trainings. So none waits for what takes longer than itself."""

QUEUES = JOBS, PARTS, TRAININGS
ACTOR = "work"
NAMESPACE = "gpserve-queue"
BELL = f"{NAMESPACE}:bell"
"""The channel on which a message is announced, so that idle workers need not poll."""

HEARTBEAT_TIMEOUT_MS = 15_000
"""A worker that is silent for this long is considered dead, and another gets its message."""

QUEUED = "jobs_queued", "Work that waits: jobs, or parts of jobs"
RUNNING = "jobs_running", "Messages that workers are working on"

_ALWAYS = 1_000_000
"""How many of a million commands look for dead workers: all, since commands are few."""

_LOOK_SECONDS = 2.0

log = logging.getLogger(__name__)


def make_broker(redis: Redis) -> RedisBroker:
    """Make a broker without middleware: the worker does retries and time limits itself."""
    # Imported here: a server needs dramatiq for its first job only, and not to start.
    from dramatiq.brokers.redis import RedisBroker

    return RedisBroker(  # type: ignore[no-untyped-call]
        client=redis,
        namespace=NAMESPACE,
        middleware=[],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=_ALWAYS,
    )


class Queue:
    """Sends work to the workers."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._broker = make_broker(redis)

    def put(self, job: Job, part: int) -> None:
        """Queue a part of a job, and wake the idle workers."""
        from dramatiq import Message

        queue = TRAININGS if job.process == "train" else JOBS if part == BEGIN else PARTS
        message: Message[None] = Message(
            queue_name=queue, actor_name=ACTOR, args=(job.id, part), kwargs={}, options={}
        )
        self._broker.enqueue(message)
        try:
            self._redis.publish(BELL, queue)
        except RedisError as error:  # the message is queued, and workers look from time to time
            log.debug("no worker could be woken: %s", error)


def messages(redis: Redis) -> tuple[int, int]:
    """How many messages wait, and how many are being worked on."""
    waiting, running, _ = _counts(redis)
    return waiting, running


def queue_depth(redis: Redis) -> tuple[int, int]:
    """How much work waits, also parts that are not queued yet, and how much is being done."""
    waiting, running, later = _counts(redis)
    return waiting + later, running


def _counts(redis: Redis) -> tuple[int, int, int]:
    pipeline = redis.pipeline(transaction=True)
    for queue in QUEUES:
        pipeline.llen(f"{NAMESPACE}:{queue}")
        pipeline.hlen(f"{NAMESPACE}:{queue}.msgs")
    pipeline.hvals(LATER)
    *counts, later = cast(list[int | list[bytes]], pipeline.execute())
    lengths = cast(list[int], counts)
    waiting, known = sum(lengths[::2]), sum(lengths[1::2])
    return waiting, max(0, known - waiting), sum(map(int, cast(list[bytes], later)))


def show_depth(url: str, metrics: Metrics) -> None:
    """Keep the gauges ``jobs_queued`` and ``jobs_running`` up to date, on a thread."""
    threading.Thread(target=_follow, args=(url, metrics), name="depth", daemon=True).start()


def _follow(url: str, metrics: Metrics) -> None:
    yield_priority()
    redis = connect(url, answer_seconds=SHORT_ANSWER_SECONDS)
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
                log.warning("the job queue is unavailable: %s", explained(error, url))
            reached = False
        time.sleep(_LOOK_SECONDS)
