"""Load from many kept connections: as fast as the answers come, or on a clock.

One thread serves all connections with epoll, so that the client is not slower than the server.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass

from bench.openloop import Responses

_RECEIVED_AT_ONCE = 1 << 16


@dataclass
class _Connection:
    """A socket, what has arrived of its answer, and when its request was due."""

    socket: socket.socket
    received: bytes = b""
    due: float = 0.0

    def complete(self) -> int:
        """Return the status of the answer once all of it is here, else 0."""
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return 0
        _, _, rest = head.lower().partition(b"\r\ncontent-length:")
        if len(body) < int(rest.partition(b"\r\n")[0]):
            return 0
        self.received = b""
        return int(head[9:12])


class Kept:
    """Sends one request over and over from several connections.

    Parameters
    ----------
    port : of the server on this machine
    request : the bytes of the request, with its head
    connections : how many, opened at once
    rate : requests per second, whether or not earlier ones were answered; a request waits for a
        connection when all are busy. Default: each connection sends when its answer is there.
    """

    def __init__(
        self, port: int, request: bytes, connections: int, rate: float | None = None
    ) -> None:
        self._address = "127.0.0.1", port
        self._request = request
        self._count = connections
        self._rate = rate
        self._idle: deque[_Connection] = deque()
        self._started = 0.0
        self._sent = 0

    def send(self, seconds: float) -> Responses:
        """Send for some seconds; what is not answered by then is not counted.

        Raises `ConnectionError`: the server closed a connection.
        """
        responses = Responses()
        with ExitStack() as stack:
            poll = stack.enter_context(select.epoll())
            connections: dict[int, _Connection] = {}
            for _ in range(self._count):
                opened = stack.enter_context(socket.create_connection(self._address))
                connections[opened.fileno()] = _Connection(opened)
                poll.register(opened, select.EPOLLIN)
            self._idle.extend(connections.values())
            self._started = now = time.perf_counter()
            self._sent = 0
            while now < self._started + seconds:
                wait = self._send_what_is_due(now)
                for number, _ in poll.poll(wait):
                    self._receive(connections[number], responses)
                now = time.perf_counter()
        return responses

    def _send_what_is_due(self, now: float) -> float:
        """Send on idle connections; return the seconds until the next request is due."""
        while self._idle:
            due = now if self._rate is None else self._started + self._sent / self._rate
            if due > now:
                return due - now
            self._sent += 1
            connection = self._idle.popleft()
            connection.due = due
            connection.socket.sendall(self._request)
        return 1.0

    def _receive(self, connection: _Connection, responses: Responses) -> None:
        piece = connection.socket.recv(_RECEIVED_AT_ONCE)
        if not piece:
            raise ConnectionError("the server closed a connection")
        connection.received += piece
        if status := connection.complete():
            responses.statuses.append(status)
            responses.latencies.append((time.perf_counter() - connection.due) * 1e3)
            self._idle.append(connection)
