"""No two threads parse an array's header at once: CPython before 3.11.8 errs then (gh-106905)."""

from __future__ import annotations

import ast
import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from gpserve_client.calls import npy, read_array

from service.services.arrays import read_header

FILE = npy(np.zeros((3, 4)))


def _of_a_request() -> object:
    return read_header(io.BytesIO(FILE), 4)


def _of_an_answer() -> object:
    return read_array(httpx.Response(200, content=FILE))


@pytest.mark.parametrize("read", [_of_a_request, _of_an_answer])
def test_one_at_a_time(read: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, lock = 0, 0, threading.Lock()
    parse = ast.literal_eval

    def slow(text: str) -> Any:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        with lock:
            inside -= 1
        return parse(text)

    monkeypatch.setattr(ast, "literal_eval", slow)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: read(), range(8)))
    assert most == 1
