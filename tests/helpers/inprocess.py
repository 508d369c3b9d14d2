"""Serve a WSGI application from this process, for example one that misbehaves on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

WSGI = Callable[..., Any]


class _Http11(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def in_process(app: WSGI) -> Iterator[str]:
    """Serve the application on a free port, and yield its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Http11)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
