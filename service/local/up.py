"""Start everything: supervisord runs the Valkey, the server and a worker, and restarts them."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from gunicorn.util import parse_address

from service import settings as reading
from service.local import valkey
from service.settings import SettingsError

CONFIGURATION = Path(__file__).with_name("supervisord.conf")

_ALONE = {"GPSERVE_WORKER_BIND": "127.0.0.1:0", "GPSERVE_GRACEFUL_SECONDS": "5"}
"""Nobody scrapes a worker here, and who pressed Ctrl-C does not want to wait for a training."""


def data_folder() -> Path:
    """The folder of versions, jobs and the Valkey: GPSERVE_DATA, or the user's usual place."""
    given = reading.read().data
    if given:
        return Path(given).absolute()
    from platformdirs import user_data_path

    return user_data_path("gpserve")


def environment(folder: Path) -> dict[str, str]:
    """The variables that server, worker and Valkey get besides those that are set."""
    added = {
        "GPSERVE_DATA": str(folder),
        "UP_PYTHON": sys.executable,
        "UP_VALKEY": "false",
    }
    if not reading.read().redis_url:
        added["UP_VALKEY"] = "true"
        added["GPSERVE_REDIS_URL"] = valkey.url_of(folder)
    if not os.environ.get("GPSERVE_STORE") and added["UP_VALKEY"] == "true":
        added["GPSERVE_STORE"] = f"file://{folder / 'store'}"
    for name, value in _ALONE.items():
        if not os.environ.get(name):
            added[name] = value
    return added


def refuse_taken(bind: str) -> None:
    """Raise a `SettingsError` when nobody can listen there: supervisord would try for ever."""
    address = parse_address(bind)
    if not isinstance(address, tuple):  # a Unix socket, or one that is handed down
        return
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        socket.create_server(address, family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        said = f"nobody can listen on {bind} (GPSERVE_BIND, as 127.0.0.1:5001): {reason}"
        raise SettingsError(said) from None


def up() -> NoReturn:
    """Become supervisord.

    Raises
    ------
    SettingsError
        A setting is wrong, or the address or the data folder is in use.
    """
    folder = data_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    added = environment(folder)
    if added["UP_VALKEY"] == "true" and valkey.is_running(folder):
        raise SettingsError(f"a service runs already on the data in {folder} (GPSERVE_DATA)")
    refuse_taken(reading.read().bind)
    program = Path(sys.executable).with_name("supervisord")
    os.execve(program, [str(program), "-n", "-c", str(CONFIGURATION)], os.environ | added)
