"""Locust follows the load shape, and every response is counted."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

# Importing Locust would patch this process's sockets, so it runs in its own process.
if not all(map(find_spec, ("locust", "kubernetes", "matplotlib"))):
    pytest.skip("Locust is in the extra `cluster`, not in `dev`", allow_module_level=True)

from loadtest.__main__ import main
from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from tests.helpers.patience import until
from tests.helpers.serving import Server


def test_every_request_is_counted(server: Server) -> None:
    with Traffic(steps([40, 80], 6), Target(server.url)) as traffic:
        until(lambda: not traffic.running)
    outcomes = traffic.outcomes()
    assert outcomes.keys() == {"ok"}
    assert outcomes.total() < 480
    last = traffic.seconds[max(traffic.seconds)]
    median, slowest = last.quantile(0.5), last.quantile(1.0)
    assert median is not None
    assert slowest is not None
    assert 0 < median <= slowest


def test_stopped_traffic_is_counted_up_to_its_last_response(server: Server) -> None:
    with Traffic(steps([60], 60), Target(server.url)) as traffic:
        until(lambda: traffic.outcomes().total() > 60)
        traffic.stop()
        of_locust = re.search(r"Aggregated +(\d+)", Path(traffic.log.name).read_text())
    assert of_locust is not None
    assert traffic.outcomes() == {"ok": int(of_locust[1])}


def test_a_refused_request_is_counted_by_its_status(server: Server) -> None:
    traffic = Traffic(steps([20], 3), Target(server.url))
    traffic.plan["path"] = "/nowhere"
    with traffic:
        until(lambda: not traffic.running)
    assert traffic.outcomes().keys() == {"404"}
    assert sum(second.errors for second in traffic.seconds.values()) == traffic.outcomes()["404"]


def test_the_command_writes_a_table_and_a_plot(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--url", server.url, "--shape", "ramp", "--low", "5", "--high", "30"]
    done = CliRunner().invoke(main, [*options, "--seconds", "5", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "errors: none" in done.output
    assert out.with_suffix(".csv").read_text().count("\n") >= 5
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_number_of_requests_is_limited(server: Server, tmp_path: Path) -> None:
    options = ["--url", server.url, "--rates", "100", "--seconds", "60", "--max-requests", "150"]
    done = CliRunner().invoke(main, [*options, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "stopped after 150 requests" in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rates", "50,many"], "'50,many' is not a list of numbers"),
        (["--rates", "-5"], "rates must be requests/s from 0"),
        (
            ["--url", "http://127.0.0.1:9", "--wait", "1"],
            "http://127.0.0.1:9 does not answer /model",
        ),
        (["--shape", "sine"], "'sine' is not one of"),
    ],
)
def test_invalid_options_are_rejected_with_a_message(options: list[str], message: str) -> None:
    done = CliRunner().invoke(main, options)
    assert done.exit_code != 0
    assert message in done.output
