"""Uvicorn's gunicorn worker, with our front, limits on slow clients, and a drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from functools import partial
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from service.asgi.connection import Connection, end_stalled
from service.asgi.front import Front
from service.runtime.runtime import Runtime

_SWEEP_SECONDS = 0.5

_TICK_SECONDS = 1.0
_UVICORN_TICKS = 10
"""Uvicorn counts ticks of 0.1 s. They were most of what an idle server costs."""


class DrainingServer(Server):
    """A server that asks its clients to reconnect elsewhere before it closes their connections."""

    def __init__(self, config: Config, runtime: Runtime) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._drained_at = float("inf")
        self._signalled = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on SIGTERM; stop at once on a second signal or on Ctrl-C."""
        if sig == signal.SIGTERM and not self._runtime.draining:
            self._runtime.draining = True
            self._drained_at = time.monotonic() + self._runtime.settings.drain_seconds
        else:
            self.should_exit = True
        self._signalled.set()

    async def main_loop(self) -> None:
        """Tick until the server is to stop; notice a signal, or the end of the drain, at once."""
        counter = 0
        while not await self.on_tick(counter):
            counter += _UVICORN_TICKS
            seconds = min(_TICK_SECONDS, self._drained_at - time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), seconds)
            self._signalled.clear()

    async def on_tick(self, counter: int) -> bool:
        """Stop when the drain is over."""
        if time.monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)


class Worker(UvicornWorker):
    """Serves our Flask application through the front."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "server_header": False,
        "access_log": False,
        "proxy_headers": False,  # nothing here needs the address of the client
    }

    async def _serve(self) -> None:
        runtime: Runtime = self.wsgi.extensions["gpserve"]
        front = Front(runtime, self.wsgi.wsgi_app)
        self.config.app = front
        self.config.http = partial(Connection, runtime, front)
        self.config.timeout_graceful_shutdown = int(runtime.settings.graceful_seconds)
        server = DrainingServer(self.config, runtime)
        self._install_sigquit_handler()
        sweep = asyncio.create_task(self._sweep(server, runtime))
        await server.serve(sockets=self.sockets)
        sweep.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweep
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _sweep(self, server: Server, runtime: Runtime) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            end_stalled(server.server_state.connections, runtime.settings)
            if os.getppid() != self.ppid:  # the master was killed: release the address
                server.handle_exit(signal.SIGINT, None)
