"""The program that Locust runs: as many users that send predictions as the shape requires.

`traffic.py` starts it with a plan, a JSON file.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment

from loadtest.shapes import Shape

PLAN = json.loads(Path(os.environ["LOADTEST_PLAN"]).read_text())
SHAPE = Shape(tuple((t, r) for t, r in PLAN["points"]))
RATE_PER_USER = float(PLAN["rate_per_user"])

FOLDER = Path(PLAN["folder"])


def _started() -> float:
    """Return when the first of Locust's processes was ready: time 0 of all of them."""
    own, first = FOLDER / f"{os.getpid()}.started", FOLDER / "started"
    own.write_text(repr(time.time()))
    with suppress(FileExistsError):
        os.link(own, first)
    return float(first.read_text())


started = _started()


class Caller(FastHttpUser):
    """One connection that sends requests at random times, `RATE_PER_USER` per second on average.

    The times do not depend on the answers: a late answer does not reduce the offered load, unless
    it is later than the next request.
    """

    connection_timeout = network_timeout = float(PLAN["timeout"])
    default_headers = PLAN["headers"]

    def on_start(self) -> None:
        """Set the time of the first request."""
        self.next_time = time.time()

    def wait_time(self) -> float:
        """Return the seconds until the next request of a Poisson process."""
        self.next_time += random.expovariate(RATE_PER_USER)
        if self.next_time < time.time() - 1:  # skip requests that are a second late
            self.next_time = time.time()
        return max(0.0, self.next_time - time.time())

    @task
    def predict(self) -> None:
        """Send one of the plan's bodies."""
        body = random.choice(PLAN["bodies"])
        self.client.post(PLAN["path"], data=body, headers={"Content-Type": "application/json"})


class UserShape(LoadTestShape):
    """The shape as a number of users."""

    def tick(self) -> tuple[int, float] | None:
        """Return users and users/s to start; None ends the test."""
        now = time.time() - started
        if now >= SHAPE.seconds or (FOLDER / "stop").exists():
            return None
        users = max(1, math.ceil(SHAPE.rate(now) / RATE_PER_USER))
        return users, max(100.0, users)


class Second:
    """Answers of one second, counted by code or error and by rounded milliseconds."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.milliseconds: Counter[str] = Counter()


current: dict[int, Second] = {}


@events.request.add_listener
def count(
    response_time: float, exception: Exception | None, response: Any = None, **_: Any
) -> None:
    """Count one answer or failure."""
    second = current.setdefault(int(time.time() - started), Second())
    code = getattr(response, "status_code", 0)
    second.outcomes["ok" if exception is None else str(code or type(exception).__name__)] += 1
    second.milliseconds[f"{response_time:.3g}"] += 1


def write_seconds(path: Path) -> None:
    """Append every finished second to this process's file, one JSON object per line."""
    with path.open("a") as file:
        while True:
            gevent.sleep(0.5)
            now = int(time.time() - started)
            for second in [each for each in current if each < now]:
                flush(file, second)


def flush(file: Any, second: int) -> None:
    """Write one second and remove it."""
    counted = current.pop(second)
    line = {"second": second, "outcomes": counted.outcomes, "ms": counted.milliseconds}
    file.write(json.dumps(line) + "\n")
    file.flush()


@events.test_start.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Start the writer, in every process that sends requests."""
    gevent.spawn(write_seconds, FOLDER / f"{os.getpid()}.jsonl")


@events.quitting.add_listener
def end(environment: Environment, **_: Any) -> None:
    """Write the remaining seconds."""
    with (FOLDER / f"{os.getpid()}.jsonl").open("a") as file:
        for second in list(current):
            flush(file, second)
