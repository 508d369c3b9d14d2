"""Small runs of the examples against local servers: what they print, find and plot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from examples import genetic, montecarlo
from examples.montecarlo import draw_inputs
from examples.surrogate import Surrogate
from service.app import create_app
from service.gpr import GPR
from service.model import FloatArray
from service.runtime.runtime import Runtime
from service.settings import Settings
from tests.helpers.inprocess import in_process
from tests.helpers.serving import ROOT, Server

PNG = b"\x89PNG\r\n\x1a\n"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program as users do; its imports take a second."""
    command = [sys.executable, "-m", *arguments]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "client")}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


def _invoke(program: click.Command, *arguments: str) -> Result:
    """Run a program in this process."""
    return CliRunner().invoke(program, arguments, prog_name="example")


def _lower_bound(gpr: GPR, X: FloatArray) -> FloatArray:
    P = gpr.predict(X, noise=False)
    return np.asarray(P[:, 0] - 2 * np.sqrt(P[:, 1]))


def test_the_genetic_algorithm_finds_the_best_input(
    server: Server, gpr: GPR, tmp_path: Path
) -> None:
    plot = tmp_path / "ga.png"
    options = ["--generations=15", "--population=100", f"--plot={plot}"]
    done = _run("examples.genetic", server.url, *options)
    assert done.returncode == 0, done.stderr
    lines = re.findall(
        r"^generation +(\d+): +[\d.]+ s, +[\d,]+ points/s, 1 replicas, best bound (\S+)$",
        done.stdout,
        re.MULTILINE,
    )
    assert [int(number) for number, _ in lines] == list(range(1, 16))
    found = np.array([[float(v) for v in re.findall(r"^  \w+ = (\S+)$", done.stdout, re.M)]])
    low, high = gpr.description.training_range.T
    assert np.all((low <= found) & (found <= high))
    at_random = np.random.default_rng(0).uniform(low, high, (1500, len(low)))
    assert _lower_bound(gpr, found)[0] > _lower_bound(gpr, at_random).max()
    assert plot.read_bytes().startswith(PNG)


def test_it_can_minimise(server: Server, tmp_path: Path) -> None:
    options = ["--generations=8", "--population=40", "--minimise", f"--plot={tmp_path / 'a.png'}"]
    done = _invoke(genetic.main, server.url, *options)
    assert done.exit_code == 0, done.output
    best = [float(b) for b in re.findall(r"best bound (\S+)$", done.stdout, re.M)]
    assert min(best) < best[0]


def test_monte_carlo_propagates(server: Server, gpr: GPR, tmp_path: Path) -> None:
    plot = tmp_path / "mc.png"
    options = ["--points=3000", "--batch=3000", "--normal=lat=-20,1.5", f"--plot={plot}"]
    done = _run("examples.montecarlo", server.url, *options)
    assert done.returncode == 0, done.stderr
    X = draw_inputs(Surrogate(server.url, 1), {"lat": (-20, 1.5)}, 3000, np.random.default_rng(1))
    P = gpr.predict(X)
    mean, error = f"{P[:, 0].mean():.6g}", f"{P[:, 0].std() / 3000**0.5:.2g}"
    assert re.search(rf"batch +1: .* 1 replicas, mean {mean} ± {error}$", done.stdout, re.M)
    parts = rf"of the inputs {P[:, 0].var():.6g}, of the model {P[:, 1].mean():.6g}$"
    assert re.search(parts, done.stdout, re.M)
    assert plot.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("lat", "'lat' is not NAME=MEAN,DEVIATION"),
        ("lat=1", "'lat=1' is not NAME=MEAN,DEVIATION"),
        ("lat=1,-1", "negative deviation"),
        ("height=1,2", "the model has no input 'height'"),
    ],
)
def test_an_invalid_input_is_rejected(server: Server, value: str, reason: str) -> None:
    done = _invoke(montecarlo.main, server.url, f"--normal={value}")
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("program", "option"),
    [
        (genetic.main, "--generations"),
        (genetic.main, "--population"),
        (genetic.main, "--parallel"),
        (montecarlo.main, "--points"),
        (montecarlo.main, "--batch"),
        (montecarlo.main, "--parallel"),
    ],
)
def test_zero_is_rejected(program: click.Command, option: str) -> None:
    done = _invoke(program, "http://localhost:1", f"{option}=0")
    assert done.exit_code == 2
    assert f"'{option}': 0 is not in the range x>=1" in " ".join(done.stderr.split())


@pytest.mark.parametrize("program", [genetic.main, montecarlo.main])
@pytest.mark.parametrize(
    ("plot", "reason"),
    [("nowhere/x.png", "the folder nowhere is not writable"), ("x.foo", "a plot must be one of")],
)
def test_an_unwritable_plot_is_rejected_first(
    program: click.Command, plot: str, reason: str
) -> None:
    done = _invoke(program, "http://localhost:1", f"--plot={plot}")
    assert done.exit_code == 2
    assert f"{plot}: {reason}" in " ".join(done.stderr.split())


def test_an_ingress_is_reached_by_its_address_and_a_host_name(tmp_path: Path) -> None:
    """The ingress routes by host name, and answers 404 for any other name."""
    service, hosts = create_app(Runtime(Settings())).wsgi_app, set()

    def ingress(environ: dict[str, Any], start_response: Any) -> Any:
        hosts.add(environ["HTTP_HOST"])
        if environ["HTTP_HOST"] == "gpserve.local":
            return service(environ, start_response)
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]

    plot = f"--plot={tmp_path / 'plot.png'}"
    with in_process(ingress) as url:
        for program, *small in (
            (genetic.main, "--population=20", "--generations=2"),
            (montecarlo.main, "--points=40", "--batch=20"),
        ):
            done = _invoke(program, url, "--host=gpserve.local", plot, *small)
            assert done.exit_code == 0, done.output
            assert hosts == {"gpserve.local"}
        assert _invoke(genetic.main, url, plot).exit_code == 1
