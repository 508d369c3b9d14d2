"""No two threads parse an array's header at once: CPython before 3.11.8 errs then (gh-106905)."""

from __future__ import annotations

import ast
import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gpserve_client.calls import npy, read_array

from service.jobs.chunks import read_numbers, result_name
from service.jobs.jobblobs import Job
from service.model import ModelFileError
from service.modelfile import decode
from service.services.arrays import read_header
from service.storage.files import FileBlobs

FILE = npy(np.zeros((3, 4)))
_archive = io.BytesIO()
np.savez(_archive, format=0, values=np.zeros((3, 2)), outside=np.zeros(3, bool))
ARCHIVE = _archive.getvalue()
"""A model file of another format; a chunk's result."""


def _of_a_request(_: Path) -> object:
    return read_header(io.BytesIO(FILE), 4)


def _of_an_answer(_: Path) -> object:
    return read_array(httpx.Response(200, content=FILE))


def _of_a_model(_: Path) -> None:
    with pytest.raises(ModelFileError):
        decode(ARCHIVE)


def _of_a_chunk(folder: Path) -> object:
    return read_numbers(Job(FileBlobs(folder), "1"), 0)


@pytest.mark.parametrize("read", [_of_a_request, _of_an_answer, _of_a_model, _of_a_chunk])
def test_one_at_a_time(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Job(FileBlobs(tmp_path), "1").write(result_name(0), ARCHIVE)
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
        list(threads.map(read, [tmp_path] * 8))
    assert most == 1
