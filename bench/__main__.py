"""The command line: `python -m bench PART…` measures, and writes docs/benchmarks.md."""

from __future__ import annotations

import importlib
import os
import subprocess

import click

from bench import report, results
from bench.places import BUILD, ROOT, SERVER_CORE, pinned, python

_TUNING = ("OPENBLAS_", "OMP_", "MKL_", "BLIS_", "NPY_", "GPSERVE_", "GUNICORN_", "WEB_CONCURRENCY")


@click.command()
@click.argument("parts", nargs=-1, required=True, type=click.Choice(report.PARTS))
def main(parts: tuple[str, ...]) -> None:
    """Measure PARTS one after the other and write the report of everything measured so far."""
    _forget_tuning()
    _train()
    for part in parts:
        click.secho(f"\n{part}", bold=True)
        measured = importlib.import_module(f"bench.{part}").measure()
        results.save(part, measured)
        click.echo(report.lines(part, measured))
    report.write()


def _forget_tuning() -> None:
    """Measure what a user gets, whatever this shell says to BLAS, NumPy or the servers.

    A BLAS that takes the CPU for an older one makes GPy slower.
    """
    for name in list(os.environ):
        if name.startswith(_TUNING):
            del os.environ[name]


def _train() -> None:
    """Make the models again for every run: the file's format may have changed."""
    command = [python("train"), "-m", "bench.training", str(BUILD / "models")]
    subprocess.run(pinned(SERVER_CORE, command), cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
