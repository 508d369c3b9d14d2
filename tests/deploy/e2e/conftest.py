"""Namespaces, releases and recorded measurements for the tests on a real cluster."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from loadtest.target import Target
from tests.deploy.e2e.cluster import HOST, URL, Release, eventually, kubectl

MEASURED: list[str] = []


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Skip all tests unless `make e2e` runs them."""
    if "E2E_IMAGE" not in os.environ:
        pytest.skip("no cluster: `make e2e` runs these tests against KUBECONFIG")
    kubectl("get", "nodes")


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace that enforces the Pod Security level "restricted"."""
    name = f"gpserve-e2e-{uuid.uuid4().hex[:6]}"
    level = "pod-security.kubernetes.io"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, f"{level}/enforce=restricted", f"{level}/warn=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def release(namespace: str) -> Iterator[Release]:
    """A release that the module's tests install as needed; it is uninstalled afterwards."""
    release = Release(namespace)
    yield release
    release.helm("uninstall", release.name, "--ignore-not-found", "--wait")


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """A client that sends requests for the chart's default host to the ingress."""
    with httpx.Client(base_url=URL, headers={"Host": HOST}, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def target(http: httpx.Client) -> Target:
    """The target of load-test traffic."""
    return Target(URL, HOST)


@pytest.fixture(scope="session")
def reachable(http: httpx.Client) -> Callable[[], None]:
    """Return a function that waits until the ingress routes to the release."""

    def wait() -> None:
        eventually("an answer through the ingress", 180, lambda: http.get("/readyz").is_success)

    return wait


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that records a measurement; all are printed at the end."""

    def note(text: str) -> None:
        MEASURED.append(f"{request.node.name}\n{text}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MEASURED:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n\n".join(MEASURED))
