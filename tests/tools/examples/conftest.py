"""One server shared by all examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.serving import Server, serving


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("examples")) as running:
        yield running
