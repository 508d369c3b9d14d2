"""A lane: a thread that takes messages from its queues and does them in a process of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from dramatiq.errors import BrokerConnectionError
from redis import Redis, RedisError

from service.jobs.queue import BELL, NAMESPACE, PARTS, QUEUES, TRAININGS
from service.worker.work import Work

if TYPE_CHECKING:
    from dramatiq.brokers.redis import RedisBroker

_WAIT_SECONDS = 2.0
"""How often an idle lane looks for work, which the bell announces."""

_DEAF_WAIT_SECONDS = 0.1
"""The same while the bell cannot be heard."""

_LISTEN_SECONDS = 5.0
_RESTART_SECONDS = 1.0

log = logging.getLogger(__name__)


class Turns:
    """The order in which a lane looks into its queues: parts of large jobs come last.

    But they have their turn when the lane has spent `seconds` on others since the last part: no
    number of small jobs keeps a large one waiting for ever.
    """

    def __init__(self, queues: Sequence[str], seconds: float) -> None:
        self._usual = sorted(queues, key=lambda queue: queue == PARTS)
        self._parts_first = sorted(queues, key=lambda queue: queue != PARTS)
        self._seconds = seconds
        self._others = 0.0

    def order(self) -> Sequence[str]:
        """Return the queues, the first one first."""
        return self._parts_first if self._others >= self._seconds else self._usual

    def took(self, queue: str, seconds: float) -> None:
        """Note how long a message of a queue has taken."""
        self._others = 0.0 if queue == PARTS else self._others + seconds


class Deliveries:
    """The messages that Redis has sent to this process and that are not yet acknowledged.

    One that was given to another worker while it was on its way is not done here. One that a broken
    connection has lost is queued again: dramatiq believes that it is being worked on as long as
    this process lives.
    """

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._working: set[bytes] = set()
        self._idle: set[bytes] = set()

    def begin(self, queue: str, id: str) -> bool:
        """Note that a message is being worked on; False if it is no longer ours.

        It may be given to another worker later, too: `Work` is made for that.
        """
        self._working.add(id.encode())
        return bool(self._broker.client.sismember(self._key(queue), id))

    def end(self, id: str) -> None:
        """Note that nobody works on a message any more."""
        self._working.discard(id.encode())

    def _key(self, queue: str) -> str:
        return f"{NAMESPACE}:__acks__.{self._broker.broker_id}.{queue}"

    def beat(self) -> None:
        """Tell Redis that this worker lives, and give back the messages of dead ones."""
        for queue in QUEUES:
            self._broker.do_fetch(queue, 0)  # every command does both; this one fetches nothing

    def requeue_lost(self) -> None:
        """Queue again messages that were idle at the last look and still are."""
        before, self._idle = self._idle, set()
        for queue in QUEUES:
            ours = cast(set[bytes], self._broker.client.smembers(self._key(queue)))
            idle = ours - self._working
            self._idle |= idle
            if lost := idle & before:
                log.warning("%d messages were lost on the way and are queued again", len(lost))
                self._broker.do_requeue(queue, *lost)


class Bell:
    """Wakes the lanes when a message is queued: a subscription to Redis, on a thread."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._rung: list[threading.Event] = []
        self._heard = False
        self._said = False

    def listen(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._listen, name="bell", daemon=True).start()

    def add(self) -> threading.Event:
        """Return an event that is set at every message."""
        self._rung.append(threading.Event())
        return self._rung[-1]

    def _ring(self) -> None:
        for event in self._rung:
            event.set()

    @property
    def wait_seconds(self) -> float:
        """How long a lane may sleep between two looks."""
        return _WAIT_SECONDS if self._heard else _DEAF_WAIT_SECONDS

    def _listen(self) -> None:
        while True:
            try:
                with self._redis.pubsub() as subscription:  # type: ignore[no-untyped-call]
                    subscription.subscribe(BELL)
                    while True:
                        message = subscription.get_message(timeout=_LISTEN_SECONDS)
                        self._heard = True
                        if message is not None:
                            self._ring()
            except RedisError as error:
                if not self._said:
                    log.info("no messages from Redis, so the queue is polled: %s", error)
                self._heard, self._said = False, True
                time.sleep(_RESTART_SECONDS)


class Lane(threading.Thread):
    """Does one message after the other until it is told to stop."""

    def __init__(
        self,
        broker: RedisBroker,
        queues: Sequence[str],
        work: Work,
        deliveries: Deliveries,
        bell: Bell,
        turn_seconds: float,
    ) -> None:
        super().__init__(name=queues[0], daemon=True)
        self.work = work
        self._broker = broker
        self._queues = queues
        self._deliveries = deliveries
        self._bell = bell
        self._rung = bell.add()
        self._turns = Turns(queues, turn_seconds)
        self._stopping = False
        self._problem = ""

    def stop(self) -> None:
        """End after the current message."""
        self._stopping = True
        self._rung.set()

    def run(self) -> None:
        """Take messages; after an error of Redis begin anew."""
        while not self._stopping:
            try:
                self._take_all()
            except (RedisError, BrokerConnectionError) as error:
                if str(error) != self._problem:  # once, however long it lasts
                    log.warning("the job queue is unavailable: %s", error)
                self._problem = str(error)
                time.sleep(_RESTART_SECONDS)
            except Exception:  # the message is queued again, as one that was lost
                log.exception("a message could not be handled")

    def _take_all(self) -> None:
        # One message at a time: a lane that computes for long holds none that others could take.
        consumers = {queue: self._broker.consume(queue, 1, 0) for queue in self._queues}
        while not self._stopping:
            self._rung.clear()
            for queue in self._turns.order():
                message = next(consumers[queue])
                if message is not None:
                    self._handle(queue, consumers[queue], message)
                    break
            else:
                self._problem = ""
                self._rung.wait(self._bell.wait_seconds)

    def _handle(self, queue: str, consumer: Any, message: Any) -> None:
        id = message.options["redis_message_id"]
        started = time.monotonic()
        try:
            if self._deliveries.begin(queue, id):
                self.work.do(*message.args)
            self._acknowledge(consumer, message)
        finally:
            self._deliveries.end(id)
        if queue == TRAININGS:
            self.work.process.kill()  # it keeps GPy and the memory of the largest table
        self._turns.took(queue, time.monotonic() - started)

    def _acknowledge(self, consumer: Any, message: Any) -> None:
        while True:
            try:
                consumer.ack(message)
                return
            except (RedisError, BrokerConnectionError) as error:
                if self._stopping:
                    raise
                log.warning("a message is not acknowledged yet: %s", error)
                time.sleep(_RESTART_SECONDS)
