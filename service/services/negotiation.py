"""Media types of answers: which one a caller accepts."""

from __future__ import annotations

import re

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from service.services.errors import Problem

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
NDJSON = "application/x-ndjson"
OFFERED = (JSON, CSV, NPY, NDJSON)

JSON_ACCEPTS = frozenset({"", "*/*", "application/json", "application/*"})


def _without_parameters(accept: str) -> MIMEAccept:
    """Parse the header without parameters such as charset: an answer has its own.

    Java's HttpURLConnection writes a quality as ``.2``, which RFC 9110 does not allow.
    """
    accepted = parse_accept_header(re.sub(r"\bq=\.", "q=0.", accept), MIMEAccept)
    return MIMEAccept([(kind.partition(";")[0].strip(), quality) for kind, quality in accepted])


def answer_type(accept: str, offered: tuple[str, ...] = OFFERED) -> str:
    """Return the media type to answer with: JSON without a preference, whatever the body was.

    Parameters
    ----------
    offered : the types that are available; JSON is one of them

    Raises `Problem`: 406, with the types that are available.
    """
    if accept in JSON_ACCEPTS:
        return JSON
    best: str | None = _without_parameters(accept).best_match(offered)
    if best is None:
        raise Problem(
            406,
            f"none of the types in Accept is available; available: {', '.join(offered)}",
            where={"offered": list(offered)},
        )
    return best


def begins_with_count(media_type: str) -> bool:
    """Whether an answer of this type begins with the number of its rows."""
    return media_type == NPY
