"""A way to the server that breaks off in the midst of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

BEGINNING = b"id,mean,extrapolated\na,5.1,false\nb,5.2,false\nc,5."


@dataclass
class Breaking:
    """Answers that have two rows and a half, until `broken` is set."""

    url: str
    broken: Event = field(default_factory=Event)


@contextmanager
def breaking() -> Iterator[Breaking]:
    """A server whose answers all break off. A browser drops what it has not read by then."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(2 * len(BEGINNING)))
            self.end_headers()
            self.wfile.write(BEGINNING)
            made.broken.wait()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Breaking(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            made.broken.set()
            server.shutdown()
            thread.join()
