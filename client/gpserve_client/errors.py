"""What the service refused, in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

_TOLD_APART = {"type", "title", "status", "detail", "request_id"}


class ServiceError(Exception):
    """The service answered with a problem.

    Attributes
    ----------
    status : the HTTP status
    detail : what was wrong, and how to mend it
    where : what the problem document says of the place: ``row``, ``column``, ``feature``, ...
    request_id : what the server's log calls this request
    retry_after : the Retry-After header, or the empty string
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: str = "") -> None:
        self.status = status
        self.detail = str(problem.get("detail") or problem.get("title") or "")
        self.where = {key: value for key, value in problem.items() if key not in _TOLD_APART}
        self.request_id = str(problem.get("request_id", ""))
        self.retry_after = retry_after
        self._problem = dict(problem)
        super().__init__(f"{status}: {self.detail}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own would hand the message to __init__; a pool whose worker's error cannot
        # be read waits for ever
        return type(self), (self.status, self._problem, self.retry_after), self.__dict__


class VersionChanged(ServiceError):
    """The model has another version than the one asked for."""


class JobFailed(Exception):
    """A job ended without a result: it failed, or somebody dismissed it."""


def checked(response: httpx.Response) -> httpx.Response:
    """The response, when it is an answer.

    Raises
    ------
    ServiceError
        It is a problem.
    """
    if response.is_success:
        return response
    kind = VersionChanged if response.status_code == 412 else ServiceError
    retry_after = response.headers.get("Retry-After", "")
    raise kind(response.status_code, _problem(response), retry_after)


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"detail": response.text[:200] or response.reason_phrase}
