"""All readers by name, each to be run in a process of its own."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import arrays, connections, documents, keyfiles, requests, tables
from tests.fuzz.running import Reader, Result, Run

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


def be_quiet() -> None:
    """Print neither NumPy's warnings of numbers that overflow nor what is logged."""
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


def run_reader(name: str, count: int, seed: int, folder: Path) -> Result:
    """Run one reader; its memory is that of this process."""
    be_quiet()
    return Run(name, READERS[name](), seed, folder).run(count)
