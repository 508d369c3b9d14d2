"""The queue of the work that waits: dramatiq on Redis. Messages hold a job's id, never data."""

from __future__ import annotations

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from redis import Redis

from service.jobs.depth import NAMESPACE, QUEUE

ACTOR = "work"
HEARTBEAT_TIMEOUT_MS = 15_000
"""A worker that was silent so long is taken for dead, and its message is given to another."""

ALWAYS = 1_000_000
"""Of a million commands, so many look for dead workers: they are few, and a look is cheap."""


def make_broker(redis: Redis) -> RedisBroker:
    """The broker; retries, time limits and the like are ours, since ours know the jobs."""
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=redis,
        namespace=NAMESPACE,
        middleware=[],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=ALWAYS,
    )
    broker.declare_queue(QUEUE)
    return broker


class Queue:
    """Puts work into the queue."""

    def __init__(self, broker: RedisBroker) -> None:
        self.broker = broker

    def put(self, id: str, chunk: int) -> None:
        """Have a worker do a chunk of a job."""
        message: Message[None] = Message(
            queue_name=QUEUE, actor_name=ACTOR, args=(id, chunk), kwargs={}, options={}
        )
        self.broker.enqueue(message)
