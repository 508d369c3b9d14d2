"""How each protocol tells a caller what was wrong: known by the path that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import msgspec

from service.services.problems import MEDIA_TYPE, Problem

JSON = "application/json"

ErrorForm = Callable[[Problem, str], tuple[int, str, bytes]]
"""From a problem and the request's id to a status, a media type and a body."""


class UMBridgeError(Problem):
    """An error with one of UM-Bridge's own types."""

    def __init__(self, kind: str, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.kind = kind


def problem_document(problem: Problem, request_id: str) -> tuple[int, str, bytes]:
    """RFC 9457: the form of our own API."""
    return problem.status, MEDIA_TYPE, problem.document(request_id)


def v2_error(problem: Problem, request_id: str) -> tuple[int, str, bytes]:
    """Open Inference Protocol v2: one text; what cannot be used is 400 there, never 422."""
    status = 400 if problem.status == 422 else problem.status
    return status, JSON, msgspec.json.encode({"error": problem.detail})


def umbridge_error(problem: Problem, request_id: str) -> tuple[int, str, bytes]:
    """UM-Bridge 1.0: a type and a message, and no other member."""
    status = 400 if problem.status == 422 else problem.status
    said = {"type": _kind(problem, status), "message": problem.detail}
    return status, JSON, msgspec.json.encode({"error": said})


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
    """The form of the protocol that this path belongs to."""
    return _FORMS.get(path[1:].partition("/")[0], problem_document)
