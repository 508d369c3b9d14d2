"""A server that breaks the connection in the middle of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

BEGINNING = b"id,mean,extrapolated\na,5.1,false\nb,5.2,false\nc,5."


@dataclass
class Interrupting:
    """Sends two and a half rows of every answer, and breaks the connection when `stop` is set."""

    url: str
    stop: Event = field(default_factory=Event)


@contextmanager
def interrupting() -> Iterator[Interrupting]:
    """Start the server. A test waits for the rows first: a browser drops what it has not read."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(2 * len(BEGINNING)))
            self.end_headers()
            self.wfile.write(BEGINNING)
            running.stop.wait()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Interrupting(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield running
        finally:
            running.stop.set()
            server.shutdown()
            thread.join()
