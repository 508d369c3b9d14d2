"""The queue: dramatiq on Redis. A message holds a job's id and a part number, never data."""

from __future__ import annotations

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from redis import Redis

from service.jobs.depth import NAMESPACE, QUEUE

ACTOR = "work"
HEARTBEAT_TIMEOUT_MS = 15_000
"""A worker that is silent for this long is considered dead, and another gets its message."""

_ALWAYS = 1_000_000
"""How many of a million commands look for dead workers: all, since commands are few."""


def make_broker(redis: Redis) -> RedisBroker:
    """Make a broker without middleware: the worker does retries and time limits itself."""
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

    def __init__(self, broker: RedisBroker) -> None:
        self.broker = broker

    def put(self, id: str, part: int) -> None:
        """Queue a part of a job."""
        message: Message[None] = Message(
            queue_name=QUEUE, actor_name=ACTOR, args=(id, part), kwargs={}, options={}
        )
        self.broker.enqueue(message)
