"""The way of one Flask request: its id, its problems, its log line and its metrics."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any, cast

import flask
from flask import Flask, g
from werkzeug.exceptions import HTTPException

from service.runtime.logs import log_request, request_id
from service.runtime.runtime import Runtime
from service.services.problems import Problem, error_form

log = logging.getLogger("service.request")


class Request(flask.Request):
    """A request whose form says what is wrong with it instead of coming out empty."""

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
