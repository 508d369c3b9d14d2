"""What is told to a caller when a request cannot be answered: RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

MEDIA_TYPE = "application/problem+json"

Where = dict[str, str | int | list[str]]


class Problem(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    status : the HTTP status
    detail : one sentence that says what was wrong and how to mend it
    where : members that say where: ``line``, ``column``, ``path``, ``feature``, ``row``
    headers : HTTP headers that belong to the answer, such as ``Retry-After`` or ``Allow``
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        where: Where | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.where = where or {}
        self.headers = headers or {}

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def document(self, request_id: str = "") -> bytes:
        """The problem document as JSON."""
        members: dict[str, object] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.where,
        }
        if request_id:
            members["request_id"] = request_id
        return msgspec.json.encode(members)


def malformed(detail: str, **where: str | int | list[str]) -> Problem:
    """400: the request could not be read."""
    return Problem(400, detail, where=where)


def unusable(detail: str, **where: str | int | list[str]) -> Problem:
    """422: the request was read, but the model cannot use what it says."""
    return Problem(422, detail, where=where)


def too_large(detail: str, **where: str | int | list[str]) -> Problem:
    """413: more than this server takes in one request."""
    return Problem(413, detail, where=where)


def busy(detail: str, retry_after: float) -> Problem:
    """503: try again in `retry_after` seconds."""
    return Problem(503, detail, headers={"Retry-After": str(max(1, round(retry_after)))})
