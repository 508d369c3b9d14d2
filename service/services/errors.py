"""Errors that a caller sees: RFC 9457 problem documents, and the forms of other protocols."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, NotRequired, TypedDict, Unpack

import msgspec
from msgspec import Meta

MEDIA_TYPE = "application/problem+json"


class Where(TypedDict, total=False):
    """The members of a problem document that say where the problem is."""

    line: Annotated[int, Meta(description="of a table")]
    column: Annotated[str, Meta(description="of a table")]
    row: Annotated[int, Meta(description="of the points, from 0")]
    path: Annotated[str, Meta(description="of the value in the JSON body")]
    feature: Annotated[str, Meta(description="the name of the feature")]
    unknown: Annotated[list[str], Meta(description="names that are neither features nor options")]
    option: Annotated[str, Meta(description="the name of the option")]
    missing: Annotated[list[str], Meta(description="features that the request lacks")]
    limit: Annotated[int, Meta(description="the limit that the request exceeds")]
    points: Annotated[int, Meta(description="how many points the request has")]
    version: Annotated[str, Meta(description="the version that is served")]
    offered: Annotated[list[str], Meta(description="the media types that are available")]


class ProblemDocument(Where):
    """A problem document (RFC 9457): what is wrong, and where."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="what is wrong, and how to fix it")]
    request_id: NotRequired[Annotated[str, Meta(description="the X-Request-Id of the answer")]]


class V2Error(TypedDict):
    """An error of the Open Inference Protocol v2."""

    error: str


class UMBridgeErrorDocument(TypedDict):
    """An error of UM-Bridge, with ``type`` and ``message``."""

    error: dict[str, str]


class Problem(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    status : the HTTP status
    detail : one sentence that says what was wrong and how to fix it
    where : members that locate it: ``line``, ``column``, ``path``, ``feature``, ``row``
    headers : HTTP headers of the answer, such as ``Retry-After`` or ``Allow``
    type : the URI of the problem's type
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        where: Where | None = None,
        headers: dict[str, str] | None = None,
        type: str = "about:blank",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.where = where or {}
        self.headers = headers or {}
        self.type = type

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def document(self, request_id: str = "") -> bytes:
        """Return the problem document as JSON."""
        members: dict[str, object] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.where,
        }
        if request_id:
            members["request_id"] = request_id
        return msgspec.json.encode(members)


def malformed(detail: str, **where: Unpack[Where]) -> Problem:
    """Return a 400: the request could not be read."""
    return Problem(400, detail, where=where)


def unusable(detail: str, **where: Unpack[Where]) -> Problem:
    """Return a 422: the request was read, but the model cannot use its content."""
    return Problem(422, detail, where=where)


def too_large(detail: str, **where: Unpack[Where]) -> Problem:
    """Return a 413: more than this server accepts in one request."""
    return Problem(413, detail, where=where)


def busy(detail: str, retry_after: float) -> Problem:
    """Return a 503: try again in `retry_after` seconds."""
    return Problem(503, detail, headers={"Retry-After": str(max(1, round(retry_after)))})


def full(error: Exception) -> Problem:
    """Return a 507: the storage has no room."""
    return Problem(
        507,
        f"the storage of jobs and models is full: {str(error)[:200]}. Send less, delete jobs that "
        "are no longer needed, or ask the operator for more room; predictions still work",
    )


def ogc_problem(status: int, kind: str, detail: str) -> Problem:
    """Return a problem with a type of OGC API – Processes."""
    base = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
    return Problem(status, detail, type=base + kind)


JSON = "application/json"

ErrorForm = Callable[[Problem, str], tuple[int, str, bytes]]
"""A function of a problem and a request id that returns a status, a media type and a body."""


class UMBridgeError(Problem):
    """An error with one of UM-Bridge's own types."""

    def __init__(self, kind: str, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.kind = kind


def problem_document(problem: Problem, request_id: str) -> tuple[int, str, bytes]:
    """Return an RFC 9457 document, the form of our own API."""
    return problem.status, MEDIA_TYPE, problem.document(request_id)


def v2_error(problem: Problem, request_id: str) -> tuple[int, str, bytes]:
    """Return an error of the Open Inference Protocol v2: one text; it has no 422."""
    status = 400 if problem.status == 422 else problem.status
    return status, JSON, msgspec.json.encode(V2Error(error=problem.detail))


def umbridge_error(problem: Problem, request_id: str) -> tuple[int, str, bytes]:
    """Return an error of UM-Bridge 1.0: a type and a message, and no other member."""
    status = 400 if problem.status == 422 else problem.status
    error = {"type": _kind(problem, status), "message": problem.detail}
    return status, JSON, msgspec.json.encode(UMBridgeErrorDocument(error=error))


def _kind(problem: Problem, status: int) -> str:
    if isinstance(problem, UMBridgeError):
        return problem.kind
    if status in (400, 413, 415):
        return "InvalidInput"
    return HTTPStatus(status).phrase.replace(" ", "")


UMBRIDGE_CALLS = (
    "Info",
    "ModelInfo",
    "InputSizes",
    "OutputSizes",
    "Evaluate",
    "Gradient",
    "ApplyJacobian",
    "ApplyHessian",
)

_FORMS: dict[str, ErrorForm] = {"v2": v2_error, **dict.fromkeys(UMBRIDGE_CALLS, umbridge_error)}


def error_form(path: str) -> ErrorForm:
    """Return the error form of the protocol that this path belongs to."""
    return _FORMS.get(path[1:].partition("/")[0], problem_document)
