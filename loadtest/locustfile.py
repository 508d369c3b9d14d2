"""What Locust runs: users that send predictions, as many as the shape asks for.

`traffic.py` starts it and hands over its plan, a JSON file.
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
    """When the first of Locust's processes was ready: time 0 of all of them."""
    own, of_all = FOLDER / f"{os.getpid()}.started", FOLDER / "started"
    own.write_text(repr(time.time()))
    with suppress(FileExistsError):
        os.link(own, of_all)
    return float(of_all.read_text())


started = _started()


class Caller(FastHttpUser):
    """One connection that sends requests at random times, `RATE_PER_USER` a second on average.

    The times are drawn beforehand: an answer that comes late does not slow the offered load down,
    as long as it is not later than the next request.
    """

    connection_timeout = network_timeout = float(PLAN["timeout"])
    default_headers = PLAN["headers"]

    def on_start(self) -> None:
        """Set the first request's time."""
        self.next_time = time.time()

    def wait_time(self) -> float:
        """Return the seconds until the next request of a Poisson process."""
        self.next_time += random.expovariate(RATE_PER_USER)
        if self.next_time < time.time() - 1:  # give up what is a second late
            self.next_time = time.time()
        return max(0.0, self.next_time - time.time())

    @task
    def predict(self) -> None:
        """Send one of the plan's bodies."""
        body = random.choice(PLAN["bodies"])
        self.client.post(PLAN["path"], data=body, headers={"Content-Type": "application/json"})


class Follow(LoadTestShape):
    """The shape, as a number of users."""

    def tick(self) -> tuple[int, float] | None:
        """Return users and users/s to start; None ends the test."""
        now = time.time() - started
        if now >= SHAPE.seconds or (FOLDER / "stop").exists():
            return None
        users = max(1, math.ceil(SHAPE.rate(now) / RATE_PER_USER))
        return users, max(100.0, users)


class Second:
    """What was answered in one second: by code or error, and by rounded milliseconds."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.milliseconds: Counter[str] = Counter()


current: dict[int, Second] = {}


@events.request.add_listener
def count(
    response_time: float, exception: Exception | None, response: Any = None, **_: Any
) -> None:
    """Count one answer, or its absence."""
    second = current.setdefault(int(time.time() - started), Second())
    code = getattr(response, "status_code", 0)
    second.outcomes["ok" if exception is None else str(code or type(exception).__name__)] += 1
    second.milliseconds[f"{response_time:.3g}"] += 1


def write_seconds(path: Path) -> None:
    """Append every finished second to this process's file, one JSON object a line."""
    with path.open("a") as file:
        while True:
            gevent.sleep(0.5)
            now = int(time.time() - started)
            for second in [each for each in current if each < now]:
                flush(file, second)


def flush(file: Any, second: int) -> None:
    """Write one second and forget it."""
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
    """Write what is left."""
    with (FOLDER / f"{os.getpid()}.jsonl").open("a") as file:
        for second in list(current):
            flush(file, second)
