"""A job as callers see it, in the words of OGC API – Processes 1.0."""

from __future__ import annotations

from typing import Any

import msgspec

from service.jobs.records import SUCCESSFUL, Record


def document(record: Record) -> dict[str, Any]:
    """The job document."""
    said: dict[str, Any] = {
        "jobID": record.id,
        "status": record.status,
        "type": "process",
        "processID": record.process,
        "progress": record.progress,
        "message": record.message,
        "created": record.created,
        "updated": record.updated,
    }
    said |= {
        name: getattr(record, name) for name in ("started", "finished") if getattr(record, name)
    }
    if record.points:
        said["points"] = {"done": record.points_done, "total": record.points}
    if record.version:
        said["version"] = record.version
    if record.problem:
        said["problem"] = msgspec.json.decode(record.problem)
    said["links"] = _links(record)
    return said


def _links(record: Record) -> list[dict[str, str]]:
    here = f"/jobs/{record.id}"
    links = [{"rel": "self", "href": here, "type": "application/json"}]
    if record.status == SUCCESSFUL:
        rel = "http://www.opengis.net/def/rel/ogc/1.0/results"
        links.append({"rel": rel, "href": f"{here}/results"})
    return links
