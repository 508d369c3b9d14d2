"""Requests to Flask: forms and multipart bodies, and the headers that the service reads."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from random import Random
from typing import Any, cast

import numpy as np
from flask import Flask
from flask import request as flask_request
from werkzeug.exceptions import HTTPException

from service.app import create_app
from service.web import jobs
from tests.fuzz.application import KEY, check_answer, runtime
from tests.fuzz.running import Reader

_FIELDS = b"lat=-20&long=181&depth=500&stations=30"
_TABLE = b"lat,long,depth,stations\n-20,181,500,30\n"
_POINT = b'{"lat":-20,"long":181.5,"depth":500,"stations":30}'
_FORM = b"Content-Type: application/x-www-form-urlencoded"
_MULTIPART = b"Content-Type: multipart/form-data; boundary=edge"


def _request(first: bytes, body: bytes, *lines: bytes) -> bytes:
    return b"\n".join([first, *lines]) + b"\n\n" + body


def _part(name: bytes, content: bytes, more: bytes = b"") -> bytes:
    return b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        name,
        more,
        content,
    )


def _array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([[-20, 181, 500, 30.0]]))
    return out.getvalue()


_END = b"--edge--\r\n"
_FILE = _part(b"file", _TABLE, b'; filename="a.csv"')
_ROWS = b"a,b,y\n" + b"".join(b"%d,%d,%d\n" % (i, i * i % 7, i % 5) for i in range(14))
_FORMS = (
    _request(b"POST /predict", _FIELDS, _FORM),
    _request(b"POST /predict?noise=false", _FIELDS + b"&lat=1&long=2&depth=3&stations=4", _FORM),
    _request(b"POST /predict", _FIELDS + b"&interval=0.9&gradient=true", _FORM, b"Accept: text/csv"),
    _request(b"POST /predict", _POINT, _FORM),
    _request(b"POST /predict", _FILE + _END, _MULTIPART),
    _request(b"POST /predict", _part(b"on_bad_row", b"nan") + _FILE + _END, _MULTIPART),
    _request(b"POST /predict", b"".join(_part(*f.split(b"=")) for f in _FIELDS.split(b"&")) + _END, _MULTIPART),
    _request(b"POST /predict", _part(b"file", gzip.compress(_TABLE, mtime=0), b'; filename="a.csv.gz"') + _END, _MULTIPART),
    _request(b"POST /predict", _part(b"file", _array(), b'; filename="a.npy"') + _END, _MULTIPART),
    _request(b"POST /predict", _part(b"file", _POINT, b'; filename="a.json"\r\nContent-Type: application/json') + _END, _MULTIPART),
    _request(b"POST /train", _part(b"target", b"y") + _part(b"file", _ROWS, b'; filename="t.csv"') + _END, _MULTIPART, b"Idempotency-Key: 1"),
    _request(b"POST /train?categorical=b", _ROWS, b"Content-Type: text/csv", b"Idempotency-Key: \xe9"),
    _request(b"GET /predict?" + _FIELDS, b""),
    _request(b"GET /predict?lat=\xe9", b""),
    _request(b"POST /train?categorical=\xe9", _ROWS, b"Content-Type: text/csv", b"Idempotency-Key: 1"),
    _request(b"POST /predict", b"--edge\r\nContent-Disposition: form-data\r\n\r\n1\r\n" + _END, _MULTIPART),
    _request(b"POST /train", b'--edge\r\nContent-Disposition: form-data; filename="a"\r\n\r\n1\r\n' + _END, _MULTIPART),
)  # fmt: skip
_FORM_WORDS = (
    b"--edge\r\n", b"--edge--", b"\r\n\r\n", b"Content-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n",
    b"boundary=", b"boundary=\"a b\"", b"; charset=utf-16", b"&file=1", b"%00", b"%zz", b"+", b"&lat=", b"=&=&", b"&&&&", b"points=1", b"noise=maybe",
    b"filename*=UTF-8''%e2%82%ac", b"name=\"\\\"\"", b"covariance=true", b"samples=3", b"seed=-1", b"interval=2", b"Content-Encoding: gzip\n", b"A: b\r\n",
    b"Content-Type: application/json\r\n", b"\x1f\x8b\x08\x00", b"leave_out=a,b", b"features=a&features=b", b"drop_missing=true", b"&lat=1" * 300,
)  # fmt: skip


def forms() -> Reader:
    """Forms, multipart bodies and query strings."""
    return Reader(_Application().read, _FORMS, _FORM_WORDS, _form, (HTTPException,))


_PATHS = (
    b"GET /predict?" + _FIELDS, b"POST /predict", b"GET /model", b"GET /model.npz", b"GET /model/diagnostics", b"GET /models", b"GET /openapi.json",
    b"POST /v2/models/quakes/infer", b"POST /Evaluate", b"GET /jobs", b"DELETE /jobs/x", b"GET /", b"GET /docs/", b"POST /models?activate=true", b"HEAD /model",
    b"POST /train", b"GET /metrics", b"POST /models/\xc3\xa9/activate", b"GET /v2/models/a/b", b"OPTIONS /predict", b"GET /page/page.js", b"GET /v2/models/stats",
)  # fmt: skip
_VALUES = {
    b"Authorization": (b"Bearer secret", b"Bearer " + KEY.encode(), b"Bearer nonsense", b"Basic YTpn", b"Basic \xe9", b"basic Og==", b"Bearer", b"Digest x", b"Bearer a.b.c", b"Basic /w=="),
    b"Prefer": (b"respond-async", b"wait=10", b"wait=-1", b"wait=nan", b'wait="3"', b"respond-async; x=y, wait=1e400", b"wait", b"=", b'"'),
    b"If-Match": (b"*", b'"abc"', b'W/"abc"', b'"a", "b"', b"abc", b'"', b'"\xe9"', b"\x01"),
    b"If-None-Match": (b"*", b'"abc"', b"W/", b"\xe9"),
    b"Accept": (b"text/csv", b"application/x-npy", b"application/x-ndjson", b"*/*;q=0", b"text/*", b"a/b", b"q=.2", b"text/csv;q=x", b"application/json;q=1e9", b",,,", b"\xe9/\xe9", b"*"),
    b"Content-Type": (b"text/csv", b"application/json", b"application/x-npy", b"text/csv; charset=utf-16", b"application/octet-stream", b"multipart/form-data", b"a", b"/", b"\xe9", b"application/x-www-form-urlencoded; charset=x", b"multipart/form-data; boundary=\xe9"),
    b"Content-Encoding": (b"gzip", b"deflate", b"identity", b"br", b"gzip, gzip", b"\xe9", b"x-gzip"),
    b"Idempotency-Key": (b"1", b"\xe9", b"a" * 300, b"\x01", b" "),
    b"Inference-Header-Content-Length": (b"0", b"80", b"-1", b"1e3", b"99999999999999999999", b"\xb2", b"999999999999999999", b"", b"+5", b"5_0"),
    b"Range": (b"bytes=0-3", b"bytes=9999999-", b"bytes=-0", b"bytes=5-2", b"x=1-2", b"bytes=0-1,4-5", b"bytes=-\xb2", b"bytes=99999999999999999999-"),
    b"X-Request-Id": (b"abc", b"\xe9", b"a" * 500, b"a b", b"\x01", b'"'),
    b"Host": (b"gp", b"\xe9", b"a:b:c", b"[::1", b"", b"gp:99999"),
    b"If-Range": (b'"abc"', b"\xe9", b"Wed, 21 Oct 2015 07:28:00 GMT"),
    b"If-Modified-Since": (b"Wed, 21 Oct 2015 07:28:00 GMT", b"x", b"Wed, 99 Oct 99999 07:-9223372036854775809:00 GMT"),
    b"Origin": (b"http://other", b"null"),
    b"Cookie": (b"a=b", b"\xe9=;;", b"="),
}  # fmt: skip
_INFERENCE = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,4],"data":[-20,181,500,30]}]}'
_BODIES = (b"", _POINT, _TABLE, gzip.compress(_TABLE, mtime=0), _INFERENCE, _array(), b'{"name":"quakes","input":[[-20,181,500,30]]}')  # fmt: skip


def headers() -> Reader:
    """Every header that the service reads, on every route."""
    seeds = [_request(first, b"") for first in _PATHS]
    seeds += [_request(first, b"", b"If-Match: *") for first in _PATHS if first[:3] == b"GET"]
    seeds += [
        _request(_PATHS[at % len(_PATHS)], _BODIES[at % len(_BODIES)], name + b": " + value)
        for at, (name, value) in enumerate((n, v) for n, values in _VALUES.items() for v in values)
    ]
    words = [name + b": " + value + b"\n" for name, values in _VALUES.items() for value in values]
    return Reader(_Application().read, seeds, words, _with_headers, (HTTPException,))


class _Application:
    """Answers requests written as a line with method and path, lines of headers, and a body."""

    def __init__(self) -> None:
        self._runtime = runtime()
        self._app: Flask = create_app(self._runtime)

    def read(self, data: bytes) -> str:
        environ = _environ(data)
        if environ["PATH_INFO"] == "/train" and environ["REQUEST_METHOD"] == "POST":
            return self._train(environ)
        begun: list[tuple[int, dict[str, str]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            for name, value in headers:
                if {"\r", "\n"} & set(name + value):
                    raise AssertionError(f"a header with a line break: {name}: {value!r}")
                f"{name}{value}".encode("latin-1")
            begun.append((int(status[:3]), {name.lower(): value for name, value in headers}))

        pieces = self._app.wsgi_app(environ, cast(Any, start_response))
        body = b"".join(pieces)
        _close(pieces)
        status, given = begun[-1]
        return check_answer(status, given, body)

    def _train(self, environ: dict[str, Any]) -> str:
        """Read a training as its route does, which needs a queue only then."""
        environ["HTTP_AUTHORIZATION"] = "Bearer secret"
        with self._app.request_context(environ):
            self._app.preprocess_request()
            key = jobs._key(cast(Any, flask_request))
            data, options, read = jobs._read_training(self._runtime.settings)
            jobs._checked(read, data, options)
            return f"a training, {len(key.fingerprint()) if key else 0}"


def _close(pieces: Iterable[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


def _environ(data: bytes) -> dict[str, Any]:
    """Return the environment that a2wsgi makes of such a request."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, target = first.decode("latin-1").partition(" ")
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path if path.startswith("/") else f"/{path}",  # as servers give it
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.input_terminated": True,
    }
    if len(data) % 2:
        environ["CONTENT_LENGTH"] = str(len(body))
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and name.upper() != "CONTENT-LENGTH":
            key = name.upper().replace("-", "_")
            key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
            before = environ.get(key)
            environ[key] = value.strip() if before is None else f"{before},{value.strip()}"
    return environ


def _with_headers(random: Random) -> bytes:
    lines = []
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        name = random.choice(list(_VALUES))
        lines.append(name + b": " + random.choice(_VALUES[name]))
    return _request(random.choice(_PATHS), random.choice(_BODIES), *lines)


def _form(random: Random) -> bytes:
    """A form of fields or parts, in any order, each maybe twice or with another name."""
    names = [b"lat", b"long", b"depth", b"stations"] * random.choice((1, 1, 1, 2))
    names += random.choices(
        (b"noise", b"interval", b"samples", b"colour", b"", b"file", b"lat"),
        k=random.choice((0, 0, 1, 2)),
    )
    values = (b"1", b"-20.5", b"1e308", b"", b"nan", b"x", b"true", b"%C3%A9", b"1,5", b"0.5", b"2")
    fields = [
        (name, random.choice(values[:2] if random.random() < 0.8 else values)) for name in names
    ]
    if random.random() < 0.5:
        return _request(b"POST /predict", b"&".join(n + b"=" + v for n, v in fields), _FORM)
    parts = [_part(name, value) for name, value in fields[: random.randrange(9)]]
    more = random.choice((b'; filename="a"', b"", b'; filename="a.json"', b"; filename*=UTF-8''a"))
    if random.random() < 0.6:
        parts.append(_part(b"file", random.choice(_BODIES), more))
    random.shuffle(parts)
    path = random.choice((b"POST /predict", b"POST /predict?noise=false", b"POST /train"))
    return _request(path, b"".join(parts) + _END[: random.choice((0, 4, 10))], _MULTIPART)
