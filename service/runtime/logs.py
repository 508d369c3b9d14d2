"""Structured logs: one JSON object per line, on standard error."""

from __future__ import annotations

import itertools
import logging
import os
import re
import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Any

from service.services.errors import Problem

log = logging.getLogger("service.request")

_ID = re.compile(r"[!-~]{1,128}")
_prefix = secrets.token_hex(6)
_numbers = itertools.count(1)


def _renew_prefix() -> None:
    global _prefix
    _prefix = secrets.token_hex(6)


os.register_at_fork(after_in_child=_renew_prefix)  # workers would all count from the same id


def request_id(given: str) -> str:
    """Return the caller's request id if it is printable and short, else a new one."""
    return given if given and _ID.fullmatch(given) else f"{_prefix}-{next(_numbers):x}"


def log_config(level: str) -> dict[str, Any]:
    """Return the logging configuration, for `logging.config.dictConfig`."""
    plain = {"level": level.upper(), "handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s",
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": plain, "gunicorn.access": plain, "service": plain},
    }


def log_unexpected(request_id: str) -> Problem:
    """Log the exception that is being handled, and return the problem that the caller sees."""
    log.exception("unexpected error", extra={"request_id": request_id})
    return Problem(500, "internal server error; the server's log has the details by request id")


Begin = Callable[[], None]
End = Callable[[tuple[str, str, int], float], None]


class RequestLog:
    """Counts requests and logs those that the settings want logged.

    Parameters
    ----------
    begin, end : count a request in progress, and one answered by (method, route, status), seconds
    wanted : "off", "errors" or "all"
    """

    def __init__(self, begin: Begin, end: End, wanted: str) -> None:
        self.begin, self._end, self._wanted = begin, end, wanted

    def finish(
        self,
        request_id: str,
        method: str,
        route: str,
        path: str,
        status: int,
        started: float,
        caller: str = "",
    ) -> None:
        """Count and log a request that has been answered.

        Parameters
        ----------
        route : the template of the path, by which it is counted
        started : `perf_counter()` when the request began
        caller : the owner of the key that it was sent with
        """
        seconds = perf_counter() - started
        self._end((method, route, status), seconds)
        # A request refused under load (503) is not an error of the server, and logging each
        # refusal would take a fifth of the time that is left for predictions.
        is_error = status >= 500 and status != 503
        if self._wanted == "all" or (self._wanted == "errors" and is_error):
            extra = {
                "request_id": request_id,
                "method": method,
                "path": path[:200],
                "status": status,
                "milliseconds": round(seconds * 1e3, 3),
            }
            if caller:
                extra["caller"] = caller
            log.info("request", extra=extra)
