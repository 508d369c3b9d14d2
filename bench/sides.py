"""The servers that are compared, and a check that their answers are equal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.request import Request, urlopen

from bench.servers import GPSERVE, Running, running


@dataclass(frozen=True)
class Side:
    """One server: its title, how it starts, and how requests are sent to it."""

    title: str
    environment: str
    arguments: list[str]
    path: str = "/predict"
    dialect: str = "native"
    ready: str = "/"


_FLASK = ["-k", "gthread", "--threads", "8"]
_ARTICLE = ["-m", "gunicorn", "bench.peers.article:app", "--bind", "127.0.0.1:PORT"]
_UVICORN = ["-m", "uvicorn", "bench.peers.fastapi_server:app", "--port", "PORT"]
SIDES = {
    "gpserve": Side("**gpserve**, all defaults", "gpserve", GPSERVE, ready="/readyz"),
    "proxied": Side(
        "gpserve, with a proxy's headers",
        "gpserve",
        GPSERVE,
        dialect="proxied",
        ready="/readyz",
    ),
    "umbridge": Side(
        "UM-Bridge's Python server",
        "umbridge",
        ["-m", "bench.peers.umbridge_server", "PORT"],
        path="/Evaluate",
        dialect="umbridge",
    ),
    "fastapi": Side(
        "FastAPI on uvicorn",
        "fastapi",
        [*_UVICORN, "--loop", "uvloop", "--http", "httptools", "--no-access-log"],
    ),
    "flask": Side(
        "gpserve, Flask alone (gthread, 8 threads)",
        "gpserve",
        [*GPSERVE, *_FLASK],
        ready="/readyz",
    ),
    "article": Side(
        "the article's design: Flask, gunicorn sync, GPy",
        "article",
        [*_ARTICLE, "--workers", "1"],
    ),
}


@contextmanager
def started(names: Iterable[str], size: int) -> Iterator[dict[str, Running]]:
    """Run these sides at the same time, each with the model of `size` training points."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                running(side.environment, side.arguments, size, ready=side.ready)
            )
            for name, side in SIDES.items()
            if name in names
        }


def refuse_different_answers(servers: dict[str, Running]) -> None:
    """Raise an error unless all servers give the same answer."""
    answers = {name: _ask(SIDES[name], server) for name, server in servers.items()}
    expected = answers["article"]
    for name, answer in answers.items():
        for a, b in zip(answer, expected, strict=True):
            if abs(a - b) > 1e-8 * abs(b):
                raise RuntimeError(f"{name} answers {answer}, but GPy {expected}")


def _ask(side: Side, server: Running) -> list[float]:
    point = {"x1": 0.1, "x2": 0.2, "x3": 0.3, "x4": 0.4}
    umbridge = {"name": "gp", "input": [list(point.values())], "config": {}}
    body = json.dumps(umbridge if side.dialect == "umbridge" else point).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(server.url + side.path, body, headers)) as response:
        answer = json.load(response)
    return answer["output"][0] if "output" in answer else [answer["mean"], answer["variance"]]
