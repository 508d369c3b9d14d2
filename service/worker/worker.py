"""The worker process: it takes messages from the queue until it is told to stop."""

from __future__ import annotations

import itertools
import logging
import logging.config
import signal
import threading
import time
from types import FrameType

from dramatiq import Worker as Consumer
from dramatiq import actor

from service.jobs.ledger import Ledger
from service.jobs.queue import ACTOR, QUEUE, Queue, make_broker, queue_depth
from service.runtime.logs import log_config
from service.settings import Settings, SettingsError
from service.storage import open_blobs
from service.storage.redis import FOREVER, connect
from service.storage.versions import Versions
from service.worker.childprocess import ComputingProcess
from service.worker.health import WorkerMetrics, serve
from service.worker.sweeping import Deliveries, Sweeper
from service.worker.work import Work

_POLL_MS = 50
"""How often an idle worker looks for work: the longest pause between two parts of a big job."""

_ROUND_SECONDS = 1.0
_ROUNDS_PER_SWEEP = 5
_SILENT_SECONDS = 10.0

log = logging.getLogger(__name__)


class JobWorker:
    """A worker with its computing process.

    Raises `SettingsError`: no Redis is configured.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.redis_url:
            raise SettingsError("a worker needs GPSERVE_REDIS_URL or REDIS_URL")
        self._settings = settings
        self._broker = make_broker(connect(settings.redis_url))
        self._deliveries = Deliveries(self._broker)
        self._broker.add_middleware(self._deliveries)
        patient = connect(settings.redis_url, retries=FOREVER)
        self._work = Work(
            Ledger(patient, settings.job_ttl_seconds),
            Queue(patient),
            Versions(open_blobs(settings.store_url, patient=True)),
            ComputingProcess(),
            WorkerMetrics(),
        )
        self._sweeper = Sweeper(self._work, open_blobs(settings.store_url))
        self._redis_answered = 0.0
        self._stop = threading.Event()
        self._started = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; then finish the part, or hand it back when time is up."""
        actor(actor_name=ACTOR, queue_name=QUEUE, broker=self._broker)(self._work.do)
        consumer = Consumer(self._broker, worker_threads=1, worker_timeout=_POLL_MS)
        # A worker that computes for long must not hold messages that others could handle.
        consumer.queue_prefetch = 1
        signal.signal(signal.SIGTERM, self._begin_stop)
        signal.signal(signal.SIGINT, self._begin_stop)
        serve(self._settings.worker_bind, self._work.metrics, self._why_unready)
        threading.Thread(target=self._maintain, name="sweeper", daemon=True).start()
        self._work.ledger.redis.ping()  # wait for a Redis that starts at the same time
        self._started = True
        consumer.start()
        log.info("working")
        self._stop.wait()
        consumer.stop(timeout=int((self._settings.graceful_seconds + 5) * 1000))
        self._work.process.kill()
        log.info("stopped")

    def _begin_stop(self, number: int, frame: FrameType | None) -> None:
        if not self._started:  # the wait for Redis ends only by an exception
            raise SystemExit
        grace = 0.0 if self._stop.is_set() else self._settings.graceful_seconds
        self._work.stop_at = time.monotonic() + grace
        self._stop.set()

    def _why_unready(self) -> str:
        silent = time.monotonic() - self._redis_answered > _SILENT_SECONDS
        return "Redis does not answer" if silent else ""

    def _maintain(self) -> None:
        ledger, metrics = self._work.ledger, self._work.metrics
        for round in itertools.count(1):
            time.sleep(_ROUND_SECONDS)
            try:
                waiting, running = queue_depth(ledger.redis)
                metrics.queued.set(waiting)
                metrics.running.set(running)
                if round % _ROUNDS_PER_SWEEP == 0:
                    self._deliveries.requeue_lost()
                    self._sweeper.requeue_forgotten()
                    self._sweeper.delete_orphans()
                self._redis_answered = time.monotonic()
            except Exception as error:  # of Redis or of the store: the next round may succeed
                log.warning("maintaining the queue failed: %s", error)


def main() -> None:
    """Run a worker with the settings of the environment."""
    settings = Settings.from_environ()
    logging.config.dictConfig(log_config(settings.log_level))
    JobWorker(settings).run()
