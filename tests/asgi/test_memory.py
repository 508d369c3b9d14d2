"""What the limits allow fits the chart's memory, on all threads at once; the loop stays awake."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.settings import Settings
from tests.helpers import cgroups, plainhttp
from tests.helpers.patience import report_if_late, until
from tests.helpers.probes import Probe
from tests.helpers.serving import ONE_WORKER, ROOT, Server, serving

SUM = "tests.helpers.toys:Sum"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
FIELDS = b"lat=0&long=0&depth=0&stations=0"
ROWS = b'{"points":['
MiB = 1 << 20
MOST, PARSED = Settings().max_json_bytes, Settings().max_parsed_bytes
AT_ONCE = Settings().threads


TIMES = {"rows": (1, AT_ONCE), "form": (2,)}
"""How many at once, where that is not as many as there are threads: a form takes 2 s to read."""


def filled(start: bytes, repeated: bytes, end: bytes, size: int) -> bytes:
    """The longest body of this kind within `size` bytes."""
    count = (size - len(start) - len(end)) // len(repeated)
    return start + repeated * count + end


BODIES: dict[str, tuple[str, str, int, Callable[[], bytes]]] = {
    "rows": (
        "/predict",
        JSON,
        200,
        lambda: filled(b'{"points":[', b"[0,0,0,0],", b"[0,0,0,0]]}", MOST),
    ),
    "lists": ("/predict", JSON, 422, lambda: filled(b"[", b"[],", b"[]]", PARSED)),
    "form": ("/predict", FORM, 200, lambda: filled(FIELDS, b"&" + FIELDS, b"", PARSED)),
    "too much": (
        "/predict",
        JSON,
        413,
        lambda: filled(ROWS, b"[0,0,0,0],", b"", 44 * MiB),
    ),
    "v2": ("/v2/models/sum/infer", JSON, 200, lambda: _v2(PARSED)),
    "um-bridge": ("/Evaluate", JSON, 200, lambda: _call(PARSED)),
}


def _v2(size: int) -> bytes:
    n = (size - 200) // 8
    head = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[%d,4],"data":[' % n
    return head + b"0,0,0,0," * (n - 1) + b"0,0,0,0]}]}"


def _call(size: int) -> bytes:
    n = (size - 200) // 8
    return b'{"name":"sum","config":{"n":%d},"input":[[' % n + b"0,0,0,0," * (n - 1) + b"0,0,0,0]]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("memory")
    with pytest.MonkeyPatch.context() as environment:
        # To measure coverage takes memory and three times the time.
        environment.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        with serving(folder, *ONE_WORKER, model_class=SUM) as running:
            yield running


def chart_limit() -> int:
    """The memory limit of a web pod, in bytes."""
    values = (ROOT / "helm/gpserve/values.yaml").read_text()
    found = re.search(r"^    memory: (\d+)Gi$", values, re.MULTILINE)
    assert found
    return int(found[1]) << 30


def test_the_worst_of_every_kind_fits_the_charts_memory(server: Server) -> None:
    pids = [server.process.pid, *server.workers]
    before = cgroups.resident(pids)
    with cgroups.limited(pids, chart_limit()), Probe(server.url) as probe:
        for kind, (path, media_type, status, make) in BODIES.items():
            body, started = make(), time.monotonic()
            for times in TIMES.get(kind, (AT_ONCE,)):
                assert _send(server, path, media_type, body, times) == [status] * times, kind
            assert server.workers == pids[1:], f"a worker was killed by {kind}"
            took = time.monotonic() - started
            most, slowest = cgroups.largest(pids) >> 20, probe.slowest
            print(f"{kind}: {most} MiB at most, {took:.1f} s, slowest probe {slowest:.2f} s")
    assert cgroups.largest(pids) < chart_limit()
    until(lambda: cgroups.resident(pids) < before + 100 * MiB, 10)
    report_if_late("a probe on a new connection", probe.slowest, 0.5)


def _send(server: Server, path: str, media_type: str, body: bytes, times: int) -> list[int]:
    def send(_: int) -> int:
        accept = "application/x-npy, */*;q=0.1"
        headers = {"Content-Type": media_type, "Accept": accept}
        with (
            plainhttp.Client() as client,
            client.stream("POST", server.url + path, content=body, headers=headers) as answer,
        ):
            for _piece in answer.iter_raw():
                pass
            return answer.status_code

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(send, range(times)))
