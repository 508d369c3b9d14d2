"""The worker process: it takes messages from the queue until it is told to stop."""

from __future__ import annotations

import itertools
import logging
import logging.config
import signal
import threading
import time
from types import FrameType

from service.jobs.ledger import Ledger
from service.jobs.queue import JOBS, PARTS, TRAININGS, Queue, make_broker, queue_depth
from service.runtime.live import open_store
from service.runtime.logs import log_config
from service.settings import Settings, SettingsError
from service.storage.redis import FOREVER, connect, explained
from service.storage.versions import Versions
from service.worker.childprocess import ComputingProcess
from service.worker.health import WorkerMetrics, serve
from service.worker.lane import Bell, Deliveries, Lane
from service.worker.sweeping import Sweeper
from service.worker.work import Work

_ROUND_SECONDS = 2.0
_ROUNDS_PER_SWEEP = 3
_SILENT_SECONDS = 10.0

log = logging.getLogger(__name__)


class JobWorker:
    """A worker with two lanes, each with a computing process: predictions, and trainings.

    So a prediction does not wait for a training, which may take half an hour.

    Raises `SettingsError`: no Redis is configured, or the store cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.redis_url:
            raise SettingsError("a worker needs GPSERVE_REDIS_URL or REDIS_URL")
        self._settings = settings
        self._redis = connect(settings.redis_url)
        broker = make_broker(self._redis)
        self._deliveries = Deliveries(broker)
        self._bell = Bell(connect(settings.redis_url))
        self._ledger = ledger = Ledger(
            connect(settings.redis_url, retries=FOREVER), settings.job_ttl_seconds
        )
        self._metrics = metrics = WorkerMetrics()
        queue = Queue(ledger.redis)
        versions = Versions(open_store(settings, patient=True))
        self._lanes = [
            Lane(
                broker,
                queues,
                Work(ledger, queue, versions, ComputingProcess(), metrics),
                self._deliveries,
                self._bell,
                settings.chunk_seconds,
            )
            for queues in ((JOBS, PARTS), (TRAININGS,))
        ]
        self._sweeper = Sweeper(self._lanes[0].work, open_store(settings))
        self._redis_answered = 0.0
        self._problem = "not yet"
        self._stop = threading.Event()
        self._started = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; then finish the part, or hand it back when time is up."""
        signal.signal(signal.SIGTERM, self._begin_stop)
        signal.signal(signal.SIGINT, self._begin_stop)
        serve(self._settings.worker_address, self._metrics, self._why_unready)
        threading.Thread(target=self._maintain, name="sweeper", daemon=True).start()
        self._ledger.redis.ping()  # wait for a Redis that starts at the same time
        self._started = True
        self._bell.listen()
        for lane in self._lanes:
            lane.start()
        log.info("working")
        self._stop.wait()
        end = time.monotonic() + self._settings.graceful_seconds + 5
        for lane in self._lanes:
            lane.stop()
        for lane in self._lanes:
            lane.join(max(0.0, end - time.monotonic()))
            lane.work.process.kill()
        log.info("stopped")

    def _begin_stop(self, number: int, frame: FrameType | None) -> None:
        if not self._started:  # the wait for Redis ends only by an exception
            raise SystemExit
        grace = 0.0 if self._stop.is_set() else self._settings.graceful_seconds
        for lane in self._lanes:
            lane.work.stop_at = time.monotonic() + grace
        self._stop.set()

    def _why_unready(self) -> str:
        silent = time.monotonic() - self._redis_answered > _SILENT_SECONDS
        return f"Redis does not answer: {self._problem}" if silent else ""

    def _maintain(self) -> None:
        for round in itertools.count(1):
            time.sleep(_ROUND_SECONDS)
            try:
                waiting, running = queue_depth(self._redis)
                self._metrics.queued.set(waiting)
                self._metrics.running.set(running)
                if round % _ROUNDS_PER_SWEEP == 0:
                    self._deliveries.beat()
                    self._deliveries.requeue_lost()
                    self._sweeper.requeue_forgotten()
                    self._sweeper.delete_orphans()
                self._redis_answered = time.monotonic()
                self._problem = ""
            except Exception as error:  # of Redis or of the store: the next round may succeed
                problem = explained(error, self._settings.redis_url)
                if problem != self._problem:
                    log.warning("maintaining the queue failed: %s", problem)
                self._problem = problem


def main() -> None:
    """Run a worker with the settings of the environment."""
    settings = Settings.from_environ()
    logging.config.dictConfig(log_config(settings.log_level))
    JobWorker(settings).run()
