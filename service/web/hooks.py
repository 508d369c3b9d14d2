"""What every Flask request gets: an id, problem documents, a log line and metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import perf_counter
from typing import IO, Any, cast

import flask
import numpy as np
from flask import Flask, g
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.http import parse_date
from werkzeug.utils import cached_property
from werkzeug.wsgi import get_input_stream

from service.model import FloatArray, Model
from service.runtime.logs import log_unexpected, request_id
from service.runtime.runtime import Runtime
from service.services.body import DigestedBody
from service.services.chunks import CHUNK_TILES, row_ranges
from service.services.errors import Problem, error_form, malformed
from service.services.prediction import Derive, Predict
from service.web.forms import FormParser

CLIENT_LEFT = "gpserve.client_left"
"""A key of the ASGI scope, which our connection sets when the client closes it."""


class Request(flask.Request):
    """A request that reports a broken form and, if it has an Idempotency-Key, digests its body."""

    form_data_parser_class = FormParser

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body; the digest begins with its first byte, whoever reads it."""
        if self.headers.get("Idempotency-Key"):
            return cast(IO[bytes], self.digested)
        return self._body()

    @cached_property
    def digested(self) -> DigestedBody:
        """The body of a request that has an Idempotency-Key."""
        return DigestedBody(self._body())

    def _body(self) -> IO[bytes]:
        return get_input_stream(self.environ, max_content_length=self.max_content_length)

    def digest_body(self) -> str:
        """Read the body to its end; the digest of a form does not depend on its boundary."""
        if self.mimetype != "multipart/form-data":
            return self.digested.digest()
        parts = [f"{name}={value}" for name, value in sorted(self.form.items(multi=True))]
        for name, file in sorted(self.files.items(multi=True)):
            file.stream.seek(0)
            digest = hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
            parts.append(f"{name}={file.filename}={file.mimetype}={digest}")
        return "\n".join(parts)

    def make_form_data_parser(self) -> FormParser:
        """A parser that raises a `Problem` for a broken multipart body."""
        parser = cast(FormParser, super().make_form_data_parser())
        parser.max_header_bytes = current_runtime().settings.max_header_bytes
        return parser

    def _load_form_data(self) -> None:
        super()._load_form_data()
        names: set[str | None] = {*self.form, *self.files}
        if None in names:
            raise ValueError("a part has no name")


class Application(Flask):
    """Flask, which would ask before every call whether a function is a coroutine: none here is."""

    request_class = Request

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function itself."""
        return func


def install(app: Flask) -> None:
    """Give every request of the app an id, metrics, and problem documents."""
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(Problem, problem_response)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ClientLeftError, lambda _: flask.Response(status=CLOSED_REQUEST))
    app.register_error_handler(Exception, _unexpected_error)


def current_runtime() -> Runtime:
    """Return the runtime of the application that answers this request."""
    return cast(Runtime, flask.current_app.extensions["gpserve"])


def current_request() -> Request:
    """Return the request itself: Flask's proxy looks it up again for each attribute."""
    return cast(Request, flask.request._get_current_object())  # type: ignore[attr-defined]


class ClientLeftError(Exception):
    """The client has closed the connection: nobody reads the answer."""


CLOSED_REQUEST = 499
"""The status in logs and metrics of a request whose client has left, as in nginx."""


def predict_while_connected() -> Predict:
    """Return a function that predicts chunk by chunk, as long as this request's client is there.

    It raises `ClientLeftError` before the next chunk when the client has left.
    """
    environ, runtime = flask.request.environ, current_runtime()

    def predict(model: Model, X: FloatArray, noise: bool) -> FloatArray:
        _refuse_if_left(environ)
        size = CHUNK_TILES * model.large_tile
        if len(X) < 2 * size:
            return runtime.predict(model, X, noise)
        return np.concatenate([predict(model, X[a:b], noise) for a, b in row_ranges(len(X), size)])

    return predict


def derive_while_connected() -> Derive:
    """Return a function that derives few points at a time, on the same condition."""
    environ, runtime = flask.request.environ, current_runtime()
    return partial(runtime.derive, lambda: _refuse_if_left(environ))


def _refuse_if_left(environ: Mapping[str, Any]) -> None:
    if client_has_left(environ):
        raise ClientLeftError


def client_has_left(environ: Mapping[str, Any]) -> bool:
    """Whether the client has closed the connection, which only our own server can tell."""
    return bool(environ.get("asgi.scope", {}).get(CLIENT_LEFT))


def problem_response(problem: Problem) -> flask.Response:
    """Return the problem as a response, in the form that the path's protocol prescribes."""
    form = error_form(flask.request.path)
    status, media_type, body = form(problem, g.get("request_id", ""))
    return flask.Response(body, status, problem.headers, content_type=media_type)


def method_not_allowed(method: str, allowed: Iterable[str]) -> Problem:
    """405, with the methods that are allowed at this path."""
    methods = ", ".join(sorted(allowed))
    detail = f"method {method[:20]} is not allowed; allowed: {methods}"
    return Problem(405, detail, headers={"Allow": methods})


def _begin() -> None:
    g.started = perf_counter()
    request = current_request()
    g.request_id = request_id(request.headers.get("X-Request-Id", ""))
    current_runtime().requests.begin()
    _forget_impossible_conditions(request.environ)
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        raise malformed("the query string is not UTF-8: write such bytes as %XX") from None


def _forget_impossible_conditions(environ: dict[str, Any]) -> None:
    """Ignore dates that are none (RFC 9110, section 13.1.3); Werkzeug fails for huge numbers.

    A range whose ``If-Range`` is none, or weak, is ignored with it: the whole is sent (13.1.5).
    """
    if _is_huge(environ.get("HTTP_IF_MODIFIED_SINCE")):
        del environ["HTTP_IF_MODIFIED_SINCE"]
    condition = environ.get("HTTP_IF_RANGE", "")
    if condition.startswith("W/") or _is_huge(condition):
        del environ["HTTP_IF_RANGE"]
        environ.pop("HTTP_RANGE", None)


def _is_huge(date: str | None) -> bool:
    try:
        parse_date(date)
    except OverflowError:
        return True
    return False


def _end(response: flask.Response) -> flask.Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.pop("Date", None)  # the server sets it as well
    request, runtime = current_request(), current_runtime()
    finish = partial(
        runtime.requests.finish,
        request_id=g.request_id,
        method=request.method,
        route=request.url_rule.rule if request.url_rule else "unmatched",
        path=request.path,
        status=response.status_code,
        started=g.started,
        caller=_caller_name(runtime),
    )
    response.direct_passthrough = False  # a file that bypasses the response never closes it
    if response.is_streamed and request.method != "HEAD":  # whose pieces nobody begins to read
        response.call_on_close(finish)
    else:
        finish()
    return response


def _caller_name(runtime: Runtime) -> str:
    caller = g.get("caller")
    return "" if caller is None or caller is runtime.keys.anonymous else str(caller.owner)


def _http_error(error: HTTPException) -> flask.Response:
    request = flask.request
    if error.code == 404:
        detail = f"no such path: {request.path[:200]!r}; /docs lists the paths"
        return problem_response(Problem(404, detail))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return problem_response(method_not_allowed(request.method, error.valid_methods))
    return problem_response(Problem(error.code or 500, error.description or error.name))


def _unexpected_error(error: Exception) -> flask.Response:
    return problem_response(log_unexpected(g.get("request_id", "")))
