"""Distribute connections over servers in turn, like a Kubernetes Service."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class _Balancer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.turn = itertools.cycle(ports)


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Balancer)
        with socket.create_connection(("127.0.0.1", next(self.server.turn))) as backend:
            back = threading.Thread(target=_pipe, args=(backend, self.request), daemon=True)
            back.start()
            _pipe(self.request, backend)
            back.join()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def balancing(*ports: int) -> Iterator[str]:
    """Run a balancer in front of servers on these ports, and yield its URL."""
    with _Balancer(ports) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
