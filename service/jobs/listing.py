"""Which of one's jobs are listed: the parameters of OGC API – Processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.jobs.ledger import Documents
from service.jobs.records import Record
from service.services.problems import unusable

_MOST = 1000


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of the list."""

    limit: Annotated[int, Meta(ge=1, le=_MOST, description="so many jobs at most")] = 100
    status: Annotated[
        Literal["accepted", "running", "successful", "failed", "dismissed"] | None,
        Meta(description="only jobs in this state"),
    ] = None
    process: Annotated[
        Literal["predict", "train"] | None, Meta(description="only jobs of this process")
    ] = msgspec.field(default=None, name="processID")


def read_listing(parameters: Mapping[str, str]) -> Listing:
    """The parameters of a query string; a `Problem` 422 says which is wrong."""
    try:
        return msgspec.convert(dict(parameters), Listing, strict=False)
    except msgspec.ValidationError as error:
        raise unusable(f"the list of jobs: {error}") from None


def listed(documents: Documents, owner: str, listing: Listing) -> list[Record]:
    """An owner's jobs that are asked for, the newest first, among the newest thousand."""
    chosen = listing.status is not None or listing.process is not None
    found = documents.of(owner, _MOST if chosen else listing.limit)
    fitting = (
        record
        for record in found
        if listing.status in (None, record.status) and listing.process in (None, record.process)
    )
    return list(fitting)[: listing.limit]
