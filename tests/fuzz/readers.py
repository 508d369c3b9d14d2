"""All readers by name."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import arrays, connections, documents, keyfiles, requests, tables
from tests.fuzz.running import Reader

READERS: dict[str, Callable[[], Reader]] = {
    "connection": connections.connections,
    "table": tables.points,
    "training-table": tables.trainings,
    "json": documents.points,
    "json-rows": documents.rows,
    "v2": documents.inferences,
    "umbridge": documents.calls,
    "training-json": documents.trainings,
    "npy": arrays.points,
    "npz": arrays.model_files,
    "forms": requests.forms,
    "headers": requests.headers,
    "keys": keyfiles.keys,
}
