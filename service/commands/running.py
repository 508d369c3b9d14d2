"""Commands of whoever runs the service: start its processes, make keys, list settings."""

from __future__ import annotations

import os
import sys

import click

from service.runtime.callers import ROLES
from service.runtime.keys import new_key
from service.settings import Settings, SettingsError, as_markdown

# Gunicorn and dramatiq are imported when they are needed: they would cost the others half a second.


@click.command()
@click.option("--tied", is_flag=True, help="Exit when the process that started this one exits.")
def worker(tied: bool) -> None:
    """Work on jobs until SIGTERM; health and metrics are on GPSERVE_WORKER_BIND."""
    from service.local.up import exit_with_parent
    from service.worker.worker import main as work

    if tied:
        exit_with_parent()
    try:
        work()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@click.command()
def up() -> None:
    """Run the server, a worker and, without a Redis, a private Valkey; Ctrl-C stops everything."""
    from service.local.up import run_all
    from service.runtime.live import open_store

    try:
        settings = Settings.from_environ()
        if settings.store_url:
            open_store(settings)
        run_all(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@click.command(hidden=True)
def valkey() -> None:
    """Run the private Valkey of `up`."""
    from service.local.up import data_folder, exit_with_parent
    from service.local.valkey import exec_valkey

    exit_with_parent()
    exec_valkey(data_folder())


@click.command(hidden=True)
def serve() -> None:
    """Run the server of `up`."""
    from service.local.up import exit_with_parent

    exit_with_parent()
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "service.app:app"])


@click.command()
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    default=["predict"],
    show_default=True,
    type=click.Choice(ROLES),
    help="What the key may do; repeat it for several.",
)
def key(name: str, roles: tuple[str, ...]) -> None:
    """Make a key for the caller NAME, and print its entry for the file of GPSERVE_KEYS.

    The key itself is printed once, on standard error: only its hash is stored.
    """
    try:
        secret, entry = new_key(name, roles)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(entry)
    click.echo(f"The key of {name}, which is not stored anywhere: {secret}", err=True)


@click.command()
def settings() -> None:
    """Print the server's settings as docs/settings.md shows them."""
    click.echo(as_markdown(), nl=False)
