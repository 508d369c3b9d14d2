"""Structured logs: a JSON object a line, on standard error."""

from __future__ import annotations

from typing import Any


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
