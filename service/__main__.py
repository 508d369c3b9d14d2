"""The command line: `python -m service`."""

from __future__ import annotations

import sys

import click

from service.commands.models import convert, diagnose, train
from service.commands.predicting import predict
from service.commands.publishing import publish
from service.commands.running import key, serve, settings, up, valkey, worker


@click.group()
def main() -> None:
    """Train, convert and use Gaussian process models."""


for command in (
    *(train, convert, diagnose, publish, predict),
    *(up, serve, worker, valkey, key, settings),
):
    main.add_command(command)


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m service"))
