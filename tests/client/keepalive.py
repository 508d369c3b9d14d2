"""The service in this process, on keep-alive connections that are recorded."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from a2wsgi import WSGIMiddleware

from tests.helpers.inprocess import WSGI
from tests.helpers.patience import until


class Peers:
    """Passes requests on to the service and records the connection of each."""

    def __init__(self, app: WSGI) -> None:
        self._app: Any = WSGIMiddleware(app)
        self.paths: Counter[str] = Counter()
        self.ports: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths[scope["path"]] += 1
        self.ports.append(scope["client"][1])
        await self._app(scope, receive, send)


@contextmanager
def keeping_alive(peers: Peers) -> Iterator[str]:
    """Serve the application and yield its URL."""
    config = uvicorn.Config(peers, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
