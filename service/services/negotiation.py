"""Media types: what a body says it is, and what the caller accepts."""

from __future__ import annotations

import re

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from service.services.problems import Problem

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
NDJSON = "application/x-ndjson"
OFFERED = (JSON, CSV, NPY, NDJSON)

JSON_ACCEPTS = frozenset({"", "*/*", "application/json", "application/*"})


def _without_parameters(accept: str) -> MIMEAccept:
    """What is accepted, whatever the charset or the like: an answer has its own.

    Java's HttpURLConnection writes a quality as ``.2``, which RFC 9110 does not allow.
    """
    said = parse_accept_header(re.sub(r"\bq=\.", "q=0.", accept), MIMEAccept)
    return MIMEAccept([(kind.partition(";")[0].strip(), quality) for kind, quality in said])


def answer_type(accept: str) -> str:
    """The media type to answer with.

    Without a preference JSON, whatever the body was.

    Raises
    ------
    Problem
        406, with the types that are offered.
    """
    if accept in JSON_ACCEPTS:
        return JSON
    best: str | None = _without_parameters(accept).best_match(OFFERED)
    if best is None:
        raise Problem(
            406,
            f"Accept {accept[:80]!r} names no type that is offered: {', '.join(OFFERED)}",
            where={"offered": list(OFFERED)},
        )
    return best
