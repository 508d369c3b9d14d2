"""gunicorn reads this file automatically; every number comes from service/settings.py."""

import gc
import logging
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import cast

from flask import Flask
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

# None of these may import prometheus_client, which reads PROMETHEUS_MULTIPROC_DIR when imported.
from service.runtime.logs import log_config
from service.settings import Settings, SettingsError

# Before NumPy is imported: its threads would spin while the rest starts, and never be used, since
# `Runtime` limits BLAS to one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

gc.disable()  # until `pre_fork`: hardly anything that a start creates is garbage

try:
    settings = Settings.from_environ()
except SettingsError as error:
    raise SystemExit(f"gpserve cannot start: {error}") from None


class QuietLogger(Logger):
    """Writes no access log unless one is asked for: a log configuration alone would begin one.

    The service counts and logs requests itself, see `GPSERVE_ACCESS_LOG`.
    """

    @property
    def access_log_enabled(self) -> bool:
        """Whether `--access-logfile` is given."""
        return bool(self.cfg.accesslog)


def _processes() -> int:
    """How many workers gunicorn starts: the command line overrides the environment."""
    config = Config()
    parser = config.parser()
    for arguments in (None, config.get_cmd_args_from_env()):
        workers = parser.parse_known_args(arguments)[0].workers
        if workers is not None:
            return int(workers)
    return settings.workers


_memory = Path("/dev/shm")
_shared = str(_memory) if os.access(_memory, os.W_OK) else tempfile.gettempdir()

if _processes() > 1:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="gpserve-", dir=_shared)

bind = settings.bind
workers = settings.workers
threads = settings.threads
worker_class = "service.asgi.worker.Worker"
preload_app = True  # workers share the model's memory, and a bad model prevents the start
timeout = int(settings.worker_timeout_seconds)
graceful_timeout = int(settings.graceful_seconds + settings.drain_seconds)
keepalive = int(settings.keepalive_seconds)
worker_tmp_dir = _shared  # writing the heartbeat to a disk can block
control_socket_disable = True
logconfig_dict = log_config(settings.log_level)
accesslog = None
logger_class = QuietLogger
limit_request_line = 8190  # a query string may contain a batch of points
proc_name = "gpserve"


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Exclude permanent objects from garbage collection, which would copy shared memory pages."""
    gc.freeze()
    gc.enable()


def post_worker_init(worker: Worker) -> None:
    """Start the background threads, which do not survive a fork."""
    cast(Flask, worker.wsgi).extensions["gpserve"].start()
    # uvicorn would say three times that it starts, after the line below.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if "UP_PYTHON" in os.environ and worker.age == settings.workers:  # `make run`: the last line
        host = re.sub(r"^(0\.0\.0\.0|127\.0\.0\.1|\[::1?\])", "localhost", settings.bind)
        url = f"http{'s' if worker.cfg.is_ssl else ''}://{host}"
        worker.log.info("ready: the page is %s, the API is described at /docs", url)


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Remove a dead worker's gauges from the sum."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Arbiter) -> None:
    """Remove the folder of the metrics."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
