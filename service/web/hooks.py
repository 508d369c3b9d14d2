"""The way of one Flask request: its id, its problems, its log line and its metrics."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import IO, Any, cast

import flask
from flask import Flask, g
from werkzeug.exceptions import HTTPException
from werkzeug.utils import cached_property
from werkzeug.wsgi import get_input_stream

from service.runtime.logs import log_request, request_id
from service.runtime.runtime import Runtime
from service.services.body import DigestedBody
from service.services.problems import Problem, error_form

log = logging.getLogger("service.request")


class Request(flask.Request):
    """A request that reports a broken form and, if it has an Idempotency-Key, digests its body."""

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

    def make_form_data_parser(self) -> object:  # type: ignore[override]
        """A parser that raises `ValueError` for a broken multipart body."""
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser


def install(app: Flask, runtime: Runtime) -> None:
    """Give every request of the app an id, metrics, and problem documents."""

    @app.before_request
    def begin() -> None:
        runtime.start()
        g.started = perf_counter()
        g.request_id = request_id(flask.request.headers.get("X-Request-Id", ""))
        runtime.metrics.in_progress.inc()

    @app.errorhandler(Problem)
    def problem(error: Problem) -> flask.Response:
        return problem_response(error)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> flask.Response:
        return problem_response(_as_problem(error))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> flask.Response:
        log.exception("unexpected error", extra={"request_id": g.get("request_id", "")})
        return problem_response(Problem(500, "an error of the server; its log has the request id"))

    @app.after_request
    def end(response: flask.Response) -> flask.Response:
        response.headers["X-Request-Id"] = g.request_id
        response.headers.pop("Date", None)  # the server sets it as well
        finish = _Finish(runtime, response.status_code)
        if response.is_streamed:
            response.response = _to_the_end(response.response, finish)
        else:
            finish()
        return response


def current_runtime() -> Runtime:
    """The runtime of the application that answers this request."""
    return cast(Runtime, flask.current_app.extensions["gpserve"])


def current_request() -> Request:
    """The request that is being answered, as the class above."""
    return cast(Request, flask.request)


def problem_response(problem: Problem) -> flask.Response:
    """The problem as a response, in the form that the path's protocol prescribes."""
    form = error_form(flask.request.path)
    status, media_type, body = form(problem, g.get("request_id", ""))
    return flask.Response(body, status, problem.headers, content_type=media_type)


def _as_problem(error: HTTPException) -> Problem:
    code = error.code or 500
    if code == 404:
        return Problem(404, f"nothing is at {flask.request.path[:200]!r}; /docs lists the paths")
    response = error.get_response()
    allow = response.headers.get("Allow")
    if code == 405 and allow:
        detail = f"{flask.request.method[:20]} is not allowed here, {allow} is"
        return Problem(405, detail, headers={"Allow": allow})
    return Problem(code, error.description or error.name)


class _Finish:
    """Counts and logs a request once its answer has been sent."""

    def __init__(self, runtime: Runtime, status: int) -> None:
        request = flask.request
        self._runtime = runtime
        self._method = request.method
        self._route = request.url_rule.rule if request.url_rule else "unmatched"
        self._path = request.path
        self._status = status
        self._started = g.started
        self._id = g.request_id

    def __call__(self) -> None:
        took = perf_counter() - self._started
        metrics = self._runtime.metrics
        metrics.in_progress.dec()
        metrics.answered(self._method, self._route, self._status, took)
        log_request(
            self._runtime.settings.access_log,
            self._id,
            self._method,
            self._path,
            self._status,
            took,
        )


def _to_the_end(pieces: Iterable[Any], finish: _Finish) -> Iterator[Any]:
    try:
        yield from pieces
    finally:
        finish()
