"""What we use of uvicorn's and prometheus_client's internals exists, and is listed in one place."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import Server, ServerState
from uvicorn_worker import UvicornWorker

from service import asgi
from service.asgi.answering import AnsweringProtocol
from service.asgi.connection import Connection
from service.asgi.upgrades import UpgradeIgnoringProtocol
from service.asgi.worker import DrainingServer, Worker
from service.runtime.metrics import Distribution

SUBCLASSES: dict[type, list[type]] = {
    HttpToolsProtocol: [UpgradeIgnoringProtocol, AnsweringProtocol, Connection],
    Server: [DrainingServer],
    UvicornWorker: [Worker],
}
VARIABLES = {
    "cycle": RequestResponseCycle,
    "flow": FlowControl,
    "server": Server,
    "server_state": ServerState,
}
"""The variables and attributes of our code that hold an object of uvicorn."""
CLASSES: list[type] = [*SUBCLASSES, RequestResponseCycle, FlowControl, ServerState]
MODULES = "\n".join(
    path.read_text() for path in Path(inspect.getfile(asgi)).parent.glob("[!_]*.py")
)


def members(cls: type) -> set[str]:
    """The attributes and methods of a class, as far as its own code shows them."""
    source = inspect.getsource(cls)
    annotated = re.findall(r"^    (\w+):", source, re.MULTILINE)
    found = {*dir(cls), *re.findall(r"self\.(\w+)", source), *annotated}
    return {name for name in found if not name.startswith("__")}


def listed(cls: type) -> set[str]:
    return set(asgi.UVICORN_INTERNALS[cls.__name__].split())


def used(cls: type) -> set[str]:
    """The members of a class of uvicorn that our code uses or overrides."""
    found = {name for variable, name in attributes(MODULES) if VARIABLES.get(variable) is cls}
    for ours in SUBCLASSES.get(cls, []):
        source = inspect.getsource(ours)
        found |= {name for variable, name in attributes(source) if variable == "self"}
        found |= set(vars(ours))
    return found & members(cls)


def attributes(source: str) -> Iterator[tuple[str, str]]:
    """Each attribute that the source uses, after the name of what it belongs to."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            value = node.value
            yield getattr(value, "attr", getattr(value, "id", "")), node.attr


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_uvicorn_has_what_we_use(cls: type) -> None:
    missing = sorted(listed(cls) - members(cls))
    assert not missing, (
        f"{cls.__name__} of uvicorn {version('uvicorn')} has no {', '.join(missing)}: "
        "adapt service/asgi, then UVICORN_INTERNALS and the pin in pyproject.toml"
    )


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_we_use_of_uvicorn_is_listed(cls: type) -> None:
    assert used(cls) == listed(cls)


def test_uvicorn_has_status_lines() -> None:
    assert STATUS_LINE[503] == b"HTTP/1.1 503 Service Unavailable\r\n"


def test_prometheus_client_has_what_we_use() -> None:
    histogram = Distribution("test_internals", "", buckets=(1, 2), registry=None)
    internals = ["_buckets", "_sum", "_upper_bounds"]
    missing = [name for name in internals if not hasattr(histogram, name)]
    assert not missing, (
        f"Histogram of prometheus_client {version('prometheus_client')} has no "
        f"{', '.join(missing)}: adapt Distribution.observe_all"
    )
    assert histogram._upper_bounds == [1, 2, float("inf")]
    assert len(histogram._buckets) == 3
    source = inspect.getsource(Distribution)
    assert sorted(set(re.findall(r"self\.(_\w+)", source))) == internals
