"""Probes on new connections while a server is loaded, from a process of their own."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_PAUSE_SECONDS = 0.02


@contextmanager
def probing(port: int) -> Iterator[list[float]]:
    """Probe until the block ends; the list then holds the waits in milliseconds."""
    waits: list[float] = []
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_probe, args=(port, theirs))
    process.start()
    try:
        yield waits
    finally:
        ours.send(None)
        waits.extend(ours.recv())
        process.join()


def _probe(port: int, end: Connection) -> None:
    waits: list[float] = []
    while not end.poll(_PAUSE_SECONDS):
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(_REQUEST)
            while connection.recv(4096):
                pass
        waits.append((time.perf_counter() - started) * 1e3)
    end.send(waits)
