"""Where the time of a request through Flask goes, and Flask alone beside the article's design."""

from __future__ import annotations

import json
import os
import subprocess
from statistics import median
from typing import Any

from bench import wrk
from bench.flaskcalls import CALLS, REPEATS
from bench.places import ROOT, SERVER_CORE, pinned, python
from bench.servers import model_file
from bench.sides import started
from bench.tables import table

TITLE = "What a request through Flask costs"
SMALL, SIZE = 100, 500
CONNECTIONS = 16
ROUNDS = 5
SECONDS = 3


def measure() -> dict[str, Any]:
    """Measure calls in one process, then requests over HTTP in interleaved rounds."""
    command = pinned(SERVER_CORE, [python("gpserve"), "-m", "bench.flaskcalls"])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GPSERVE_MODEL": model_file(SMALL)}
    calls = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return {"calls": json.loads(calls.stdout), "http": _over_http()}


def _over_http() -> dict[str, float]:
    """Return the microseconds of CPU time per request: the median of the rounds."""
    with started(("gpserve", "flask", "article"), SIZE) as servers:
        ways = {
            "event loop": (servers["gpserve"], "native"),
            "front": (servers["gpserve"], "form"),
            "gthread": (servers["flask"], "native"),
            "article": (servers["article"], "native"),
        }
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, (server, dialect) in ways.items():
                load = wrk.load(server, CONNECTIONS, SECONDS, dialect=dialect)
                if number:  # the first is a warm-up
                    rounds[name].append(load.cpu * 1e6)
    return {name: median(spent) for name, spent in rounds.items()}


def markdown(measured: dict[str, Any]) -> str:
    """Return the two tables and the target."""
    calls, http = measured["calls"], measured["http"]
    rest = calls["JSON"] - calls["model"] - calls["nothing"]
    parts = {
        "Flask and Werkzeug: route, request, response": calls["plain Flask"],
        "request id, metrics, key, error documents": calls["nothing"] - calls["plain Flask"],
        f"the model, N = {SMALL}": calls["model"],
        "body, JSON, batch, headers of version and timing": rest,
        "**one point as JSON**": calls["JSON"],
        "the same as a form": calls["form"],
        "the same as a CSV table of one row": calls["CSV"],
        "the same as a v2 tensor": calls["v2"],
        "the same with an interval": calls["interval"],
        "the same with the gradient": calls["gradient"],
    }
    servers = {
        "the event loop, without Flask (JSON)": http["event loop"],
        "Flask behind the event loop (a form)": http["front"],
        "Flask alone: gthread, 8 threads (JSON)": http["gthread"],
        "the article's design: Flask, gunicorn sync, GPy (JSON)": http["article"],
    }
    return "\n\n".join(
        [
            f"CPU time of one request of one point, N = {SMALL}, without a server: the application "
            f"is called in one process, least of {REPEATS} interleaved repeats of {CALLS} calls.",
            _table("where it goes", parts),
            f"Over HTTP, N = {SIZE}, {CONNECTIONS} connections, median of {ROUNDS} interleaved "
            f"rounds. Flask alone takes {http['gthread'] / http['article']:.2f} of the article's "
            "time (target 1), with all features and headers.",
            _table("server", servers),
        ]
    )


def _table(head: str, microseconds: dict[str, float]) -> str:
    rows = [[name, f"{us:.0f} µs"] for name, us in microseconds.items()]
    return table([head, "CPU time per request"], rows)
