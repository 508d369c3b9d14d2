"""How deep the queue is, without its library: every server looks, few ever send a job."""

from __future__ import annotations

from typing import cast

from redis import Redis

QUEUE = "jobs"
NAMESPACE = "gpserve-queue"


def queue_depth(redis: Redis) -> tuple[int, int]:
    """How many messages wait, and how many are being worked on."""
    pipeline = redis.pipeline(transaction=True)
    pipeline.llen(f"{NAMESPACE}:{QUEUE}")
    pipeline.hlen(f"{NAMESPACE}:{QUEUE}.msgs")
    waiting, known = cast(list[int], pipeline.execute())
    return waiting, max(0, known - waiting)
