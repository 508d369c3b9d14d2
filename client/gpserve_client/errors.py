"""Errors that the client raises, in the words of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GENERAL_MEMBERS = {"type", "title", "status", "detail", "request_id"}


class ServiceError(Exception):
    """The service answered with an error.

    Attributes
    ----------
    status : the HTTP status code
    detail : what is wrong and how to fix it
    where : the members of the problem document that locate the error: ``row``, ``column``,
        ``feature``, ...
    request_id : the ID of the request in the server's log
    retry_after : the value of the Retry-After header, or the empty string
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: str = "") -> None:
        self.status = status
        self.detail = str(problem.get("detail") or problem.get("title") or "")
        self.where = {key: value for key, value in problem.items() if key not in _GENERAL_MEMBERS}
        self.request_id = str(problem.get("request_id", ""))
        self.retry_after = retry_after
        self._problem = dict(problem)
        super().__init__(f"{status}: {self.detail}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception.__reduce__ would pass the message to __init__, which fails; a process pool
        # waits forever for a worker whose error cannot be unpickled.
        return type(self), (self.status, self._problem, self.retry_after), self.__dict__


class VersionChanged(ServiceError):
    """The service serves another version of the model than the requested one."""


class JobFailed(Exception):
    """A job ended without a result: it failed or was dismissed."""
