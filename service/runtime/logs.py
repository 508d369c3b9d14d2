"""Structured logs: a JSON object a line, on standard error."""

from __future__ import annotations

import itertools
import logging
import os
import re
import secrets
from typing import Any

log = logging.getLogger("service.request")

_ID = re.compile(r"[!-~]{1,128}")
_prefix = secrets.token_hex(6)
_numbers = itertools.count(1)


def _renew_prefix() -> None:
    global _prefix
    _prefix = secrets.token_hex(6)


os.register_at_fork(after_in_child=_renew_prefix)  # workers would all count from the same id


def request_id(given: str) -> str:
    """The caller's request id when it is printable and short, else a new one."""
    return given if given and _ID.fullmatch(given) else f"{_prefix}-{next(_numbers):x}"


def log_config(level: str) -> dict[str, Any]:
    """The logging configuration, for `logging.config.dictConfig`."""
    handler = {"class": "logging.StreamHandler", "formatter": "json"}
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
        "handlers": {"stderr": handler},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": plain, "gunicorn.access": plain, "service": plain},
    }


def wants_log(which: str, status: int) -> bool:
    """Whether a request of this status is logged: a refusal when busy is no error of ours.

    Under overload a log line for each refusal would take a fifth of the time to predict.
    """
    return which == "all" or (which == "errors" and status >= 500 and status != 503)


def log_request(
    which: str, request_id: str, method: str, path: str, status: int, seconds: float
) -> None:
    """Log a request, if `which` ("off", "errors" or "all") wants it."""
    if not wants_log(which, status):
        return
    log.info(
        "request",
        extra={
            "request_id": request_id,
            "method": method,
            "path": path[:200],
            "status": status,
            "milliseconds": round(seconds * 1e3, 3),
        },
    )
