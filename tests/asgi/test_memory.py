"""What the limits allow fits the chart's memory, on all threads at once; the loop stays awake."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers import cgroups, plainhttp
from tests.helpers.patience import report_if_late, until
from tests.helpers.probes import Probe
from tests.helpers.serving import ONE_WORKER, ROOT, Server, serving
from tests.helpers.stack import stack
from tests.helpers.worstbodies import MODELS, PREDICTIONS, MiB, Worst

SUM = "tests.helpers.toys:Sum"


@pytest.fixture(autouse=True)
def _without_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """To measure coverage takes memory and three times the time."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def chart_limit() -> int:
    """The memory limit of a web pod, in bytes."""
    values = (ROOT / "helm/gpserve/values.yaml").read_text()
    found = re.search(r"^    memory: (\d+)Gi$", values, re.MULTILINE)
    assert found
    return int(found[1]) << 30


def test_the_worst_predictions_fit_the_charts_memory(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("memory")
    with serving(folder, *ONE_WORKER, model_class=SUM) as server:
        survives(server, PREDICTIONS)


def test_the_worst_tables_and_model_files_fit_the_charts_memory(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with stack(tmp_path_factory.mktemp("memory"), workers=0) as system:
        survives(system.servers[0], MODELS)


def survives(server: Server, kinds: Mapping[str, Worst]) -> None:
    """Send each kind, one and several at once, to a server with the memory of a web pod."""
    pids = [server.process.pid, *server.workers]
    before = cgroups.resident(pids)
    slowest = 0.0
    with cgroups.limited(pids, chart_limit()):
        for kind, worst in kinds.items():
            body, started = worst.body(), time.monotonic()
            with Probe(server.url) as probe:
                for times in worst.times:
                    assert _send(server, worst, body, times) == [worst.status] * times, kind
            assert server.workers == pids[1:], f"a worker was killed by {kind}"
            took = time.monotonic() - started
            most = cgroups.largest(pids) >> 20
            print(f"{kind}: {most} MiB at most, {took:.1f} s, slowest probe {probe.slowest:.2f} s")
            slowest = max(slowest, probe.slowest)
    assert cgroups.largest(pids) < chart_limit()
    until(lambda: cgroups.resident(pids) < before + 100 * MiB)
    report_if_late("a probe on a new connection", slowest, 0.5)


def _send(server: Server, worst: Worst, body: bytes, times: int) -> list[int]:
    headers = {"Content-Type": worst.media_type, "Accept": worst.accept, **worst.headers}

    def send(_: int) -> int:
        with (
            plainhttp.Client() as client,
            client.stream("POST", server.url + worst.path, content=body, headers=headers) as answer,
        ):
            for _piece in answer.iter_raw():
                pass
            return answer.status_code

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(send, range(times)))
