"""A server that gives the answers of a script, for programs that ask servers of other kinds."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Seen = list[tuple[str, dict[str, str], bytes]]
"""The path, the headers and the body of each request."""


class _Service(BaseHTTPRequestHandler):
    script: list[tuple[Any, ...]]
    seen: Seen

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.path, dict(self.headers), body))
        status, answer, *headers = self.script.pop(0)
        self.send_response(status)
        for name, value in (headers[0] if headers else {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def answering(*script: tuple[Any, ...]) -> Iterator[tuple[str, Seen]]:
    """Run a server that gives these answers; its URL, and the list of requests.

    An answer is a status, a body (bytes, or what is written as JSON), and perhaps headers.
    """
    seen: Seen = []
    handler = type("Scripted", (_Service,), {"script": list(script), "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
