"""Requests at the same time, in threads, of which none goes on when one has failed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")

Sleep = Callable[[float], None]


def together(do: Callable[[A, Sleep], T], asked: Sequence[A], at_once: int) -> list[T]:
    """The answers of `do(a, sleep)` for each a, in their order.

    `sleep` is how `do` shall wait before it asks again: once one has failed, or the program is
    interrupted, it ends the others with a `CancelledError`. The first failure is raised.
    """
    given_up = threading.Event()

    def sleep(seconds: float) -> None:
        if given_up.wait(seconds):
            raise CancelledError

    executor = ThreadPoolExecutor(min(at_once, len(asked)), "gpserve")
    under_way_too = True
    try:
        return _answers([executor.submit(do, a, sleep) for a in asked])
    except KeyboardInterrupt:
        under_way_too = False
        raise
    finally:
        given_up.set()
        executor.shutdown(wait=under_way_too, cancel_futures=True)


def _answers(futures: Sequence[Future[T]]) -> list[T]:
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        if future in done:
            future.result()
    return [future.result() for future in futures]
