"""Requests to the Flask application without a server: `python -m bench.flaskcalls` prints the
CPU time of each kind in microseconds, as JSON. It runs in the service's environment.
"""

from __future__ import annotations

import gc
import io
import json
import sys
import time
from collections.abc import Callable, Iterable

CALLS, REPEATS = 300, 15

_POINT = {"x1": 0.1, "x2": 0.2, "x3": 0.3, "x4": 0.4}
_JSON = json.dumps(_POINT).encode()
_TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": list(_POINT.values())}
_V2 = json.dumps({"inputs": [_TENSOR]}).encode()
_FORM = "application/x-www-form-urlencoded"

_REQUESTS: dict[str, tuple[str, str, str, bytes]] = {
    "nothing": ("GET", "/healthz", "", b""),
    "JSON": ("POST", "/predict", "application/json", _JSON),
    "form": ("POST", "/predict", _FORM, b"x1=0.1&x2=0.2&x3=0.3&x4=0.4"),
    "CSV": ("POST", "/predict", "text/csv", b"x1,x2,x3,x4\n0.1,0.2,0.3,0.4\n"),
    "interval": ("POST", "/predict?interval=0.95", "application/json", _JSON),
    "gradient": ("POST", "/predict?gradient=true", "application/json", _JSON),
    "v2": ("POST", "/v2/models/gp/infer", "application/json", _V2),
}
"""Method, address, media type and body; one point each but the first."""

Application = Callable[..., Iterable[bytes]]


def calls() -> dict[str, float]:
    """Return the microseconds of CPU time of each call: the least of interleaved repeats."""
    import flask
    import numpy as np

    from service.app import app

    plain = flask.Flask("plain")
    plain.add_url_rule("/healthz", view_func=lambda: {"status": "ok"})
    gc.freeze()  # as gunicorn.conf.py does
    model, X = app.extensions["gpserve"].live.model, np.array([list(_POINT.values())])
    ways: dict[str, Callable[[], object]] = {
        "plain Flask": lambda: _call(plain, *_REQUESTS["nothing"]),
        "model": lambda: model.predict(X),
    }
    for name, request in _REQUESTS.items():
        ways[name] = lambda request=request: _call(app, *request)  # type: ignore[misc]
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(REPEATS):
        for name, call in ways.items():
            started = time.process_time()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (time.process_time() - started) / CALLS * 1e6)
    return best


def _call(application: Application, method: str, address: str, media_type: str, body: bytes) -> int:
    path, _, query = address.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "*/*",
        "CONTENT_TYPE": media_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    statuses: list[str] = []
    pieces = application(environ, lambda status, headers: statuses.append(status))
    size = sum(map(len, pieces))
    pieces.close()  # type: ignore[attr-defined]
    if statuses != ["200 OK"]:
        raise RuntimeError(f"{method} {address}: {statuses}")
    return size


if __name__ == "__main__":
    json.dump(calls(), sys.stdout)
