"""Feed a reader with inputs: what it may do with them, and what is kept of those that break it."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, process_time
from types import FrameType

import msgspec

from service.services.errors import Problem, problem_document, umbridge_error, v2_error
from tests.fuzz.mutating import Mutator

CPU_SECONDS = 1.0
"""The most that one input may take."""

GROWTH_BYTES = 32 << 20
"""By how much the memory may grow after the first tenth of the inputs."""

_INTERRUPTED_AFTER = 10.0
_LOOK_EVERY = 500
_PAGE = 4096
_VARYING = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|\(.*\)|: .*")


class Wrong(AssertionError):
    """The reader did what it must not do with any input."""


@dataclass
class Reader:
    """What is tried.

    Attributes
    ----------
    read : reads an input and returns in a few words what came of it; it may raise `Problem`
    seeds : valid inputs
    words : what the format is made of
    generate : makes a structured input; a quarter of all inputs are such, and a quarter such ones
        mutated
    refusals : errors other than `Problem` that it may raise
    """

    read: Callable[[bytes], str]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    generate: Callable[[Random], bytes] | None = None
    refusals: tuple[type[Exception], ...] = ()


@dataclass
class Failure:
    """The first input that broke a reader in one place, and how many did."""

    data: bytes
    told: str
    path: Path
    count: int = 1


@dataclass
class Result:
    """What came of all inputs."""

    name: str
    seed: int
    inputs: int = 0
    answered: int = 0
    outcomes: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    growth: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing failed and the memory stayed flat."""
        return not self.failures and self.growth <= GROWTH_BYTES


class _Errors(logging.Handler):
    """Collects what is logged as an error: an exception that somebody caught."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def raise_first(self) -> None:
        records, self.records = self.records, []
        for record in records:
            error = record.exc_info[1] if record.exc_info else None
            raise Wrong(f"an error was logged: {record.getMessage()}") from error


def checked(problem: Problem) -> str:
    """Return in a few words what a problem says, once every protocol can write it."""
    for form in (problem_document, v2_error, umbridge_error):
        status, _, body = form(problem, "id")
        msgspec.json.decode(body)
        if not 400 <= status < 500:
            raise Wrong(f"a problem has status {status}: {problem.detail}")
    if not problem.detail or len(problem.detail) > 20_000:
        raise Wrong(f"a detail has {len(problem.detail)} characters")
    for name, value in problem.headers.items():
        if not f"{name}{value}".isprintable():
            raise Wrong(f"a header is {name}: {value!r}")
    return f"{problem.status} {_VARYING.sub('', problem.detail)[:60]}"


class Run:
    """One run of a reader.

    Parameters
    ----------
    folder : where the inputs are stored that break it
    """

    def __init__(self, name: str, reader: Reader, seed: int, folder: Path) -> None:
        self._reader = reader
        self._folder = folder
        self._random = Random(f"{name} {seed}")
        self._mutator = Mutator(reader.seeds, reader.words, self._random)
        self._reached: set[str] = set()
        self._errors = _Errors()
        self.result = Result(name, seed)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """See errors that are only logged, and interrupt what does not end."""
        logging.getLogger().addHandler(self._errors)
        before = signal.signal(signal.SIGPROF, _interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGPROF, before)
            logging.getLogger().removeHandler(self._errors)

    def run(self, count: int) -> Result:
        """Try so many inputs, the seeds first."""
        result, began, base = self.result, monotonic(), 0
        with self.watched():
            for number in range(count):
                self.try_one(self._input(number))
                if number == count // 10:
                    base = resident()
                if base and number % _LOOK_EVERY == 0:
                    result.growth = max(result.growth, resident() - base)
        result.outcomes = len(self._reached)
        result.seconds = monotonic() - began
        return result

    def _input(self, number: int) -> bytes:
        seeds, generate = self._reader.seeds, self._reader.generate
        if number < len(seeds):
            return seeds[number]
        chance = self._random.random()
        if generate is None or chance < 0.5:
            return self._mutator.mutated()
        made = generate(self._random)
        return made if chance < 0.75 else self._mutator.mutated(made)

    def try_one(self, data: bytes) -> None:
        """Read one input, and keep it if it breaks the reader or reaches something new."""
        result, began = self.result, process_time()
        signal.setitimer(signal.ITIMER_PROF, _INTERRUPTED_AFTER)
        try:
            said = self._said(data)
        except Exception as error:
            self._fail(data, error)
            return
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            took = process_time() - began
            result.inputs += 1
            result.slowest = max(result.slowest, took)
        if took > CPU_SECONDS:
            self._fail(data, Wrong(f"it took {took:.1f} s"))
        if said not in self._reached:
            self._reached.add(said)
            self._mutator.keep(data)

    def _said(self, data: bytes) -> str:
        try:
            said = self._reader.read(data)
            self.result.answered += 1
        except Problem as problem:
            said = checked(problem)
        except self._reader.refusals as refusal:
            said = f"{type(refusal).__name__} {_VARYING.sub('', str(refusal))[:60]}"
        except Exception:
            self._errors.raise_first()
            raise
        self._errors.raise_first()
        return said

    def _fail(self, data: bytes, error: Exception) -> None:
        self._errors.records.clear()
        told = "".join(traceback.format_exception(error))
        key = _kind(error)
        if found := self.result.failures.get(key):
            found.count += 1
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(data).hexdigest()[:12]
        path = self._folder / f"{self.result.name}-{digest}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(told, errors="backslashreplace")
        self.result.failures[key] = Failure(data, told, path)


def _kind(error: Exception) -> str:
    """Return what tells one kind of failure from another: its place, or what was found wrong."""
    root = error.__cause__ or error
    if isinstance(root, Wrong):
        return _VARYING.sub("", str(root))[:80]
    frame = traceback.extract_tb(root.__traceback__)[-1]
    return f"{type(root).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Wrong(f"it did not end within {_INTERRUPTED_AFTER:g} s")


def in_memory(name: str) -> Path:
    """Return the path of an empty file in memory: a disk takes longer than any reader."""
    descriptor = os.memfd_create(name)
    return Path(f"/proc/self/fd/{descriptor}")


def resident() -> int:
    """Return the memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
