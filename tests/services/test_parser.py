"""An array is read beside any thread that parses: CPython before 3.11.8 errs then (gh-106905)."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpserve_client._requests import npy, read_npy

from service.gpr.file import decode
from service.jobs.blobs import JobBlobs
from service.jobs.results import read_numbers, result_name
from service.services.arrays import read_header
from service.settings import Settings
from service.storage.files import FileBlobs

FILE = npy(np.zeros((3, 4)))


def _of_a_request(_: Path) -> object:
    return read_header(io.BytesIO(FILE), 4).rows


def _of_an_answer(_: Path) -> object:
    return read_npy(FILE).shape[0]


def _of_a_model(_: Path) -> object:
    return decode(Settings().model.read_bytes()).training_points


def _of_a_chunk(folder: Path) -> object:
    job, archive = JobBlobs(FileBlobs(folder), "1"), io.BytesIO()
    np.savez(archive, values=np.zeros((3, 2)), outside=np.zeros(3, bool))
    job.write(result_name(0), archive.getvalue())
    return len(read_numbers(job, 0).values)


READERS = [_of_a_request, _of_an_answer, _of_a_model, _of_a_chunk]


class Disturbed:
    """A parser that errs as CPython's, the first `times`."""

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, 0
        self._parse = ast.literal_eval

    def __call__(self, text: str) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            raise SystemError("AST constructor recursion depth mismatch (before=84, after=48)")
        return self._parse(text)


@pytest.mark.parametrize("read", READERS)
def test_a_disturbed_parse_is_repeated(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = read(tmp_path)
    disturbed = Disturbed(3)
    monkeypatch.setattr(ast, "literal_eval", disturbed)
    assert read(tmp_path) == undisturbed
    assert disturbed.calls > 3


@pytest.mark.parametrize("read", READERS)
def test_an_interpreter_that_never_recovers_is_told(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ast, "literal_eval", Disturbed(1000))
    with pytest.raises(SystemError, match="recursion depth"):
        read(tmp_path)
