"""`make run`: supervisord runs a private Valkey, the server and a worker, and restarts them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from service.local.valkey import command, is_running, url_of
from service.settings import Settings, SettingsError, listening

CONFIGURATION = Path(__file__).with_name("supervisord.conf")

_LOCAL_DEFAULTS = {
    "GPSERVE_BIND": "127.0.0.1:5000",
    "GPSERVE_WORKER_BIND": "127.0.0.1:0",
    "GPSERVE_GRACEFUL_SECONDS": "5",
}
"""Other machines are let in on purpose only. Nobody scrapes a worker here, and whoever presses
Ctrl-C does not want to wait for a training."""

_PR_SET_PDEATHSIG = 1


def run_all(settings: Settings) -> NoReturn:
    """Replace this process by supervisord, whose programs get these settings from the environment.

    Raises `SettingsError`: a setting is wrong, there is no model or no Valkey, or an address or the
    data folder is in use. Supervisord would try to start for ever.
    """
    if not settings.model.is_file():
        raise SettingsError(f"GPSERVE_MODEL names no file: {settings.model}")
    folder = data_folder(settings)
    make_folder(folder)
    added = environment(settings, folder)
    if not settings.redis_url:
        command(folder)
        if is_running(folder):
            raise SettingsError(
                f"another gpserve is already using {folder}: for a second one set another folder "
                "with GPSERVE_DATA and another address with GPSERVE_BIND, as 127.0.0.1:5001"
            )
    settings = Settings.from_environ(os.environ | added)
    for address in settings.server_addresses:
        listening("bind", *address).close()
    listening("worker_bind", *settings.worker_address).close()
    let_output_be_opened()
    program = Path(sys.executable).with_name("supervisord")
    options = ["-n", "-c", str(CONFIGURATION)]
    options += ["-u", "root"] if os.geteuid() == 0 else []  # else it warns of a forgotten setting
    os.execve(program, [str(program), *options], os.environ | added)


def data_folder(settings: Settings | None = None) -> Path:
    """Return the folder of versions, jobs and the Valkey: GPSERVE_DATA, or the user's default."""
    # Imported here: a worker's image has nothing of the extra `local`.
    from platformdirs import user_data_path

    given = (settings or Settings.from_environ()).data
    return Path(given).absolute() if given else user_data_path("gpserve")


def environment(settings: Settings, folder: Path) -> dict[str, str]:
    """Return the variables that server, worker and Valkey get besides those that are set."""
    own_valkey = not settings.redis_url
    added = {
        "GPSERVE_DATA": str(folder),
        "UP_PYTHON": sys.executable,
        "UP_VALKEY": "true" if own_valkey else "false",
    }
    if own_valkey:
        added["GPSERVE_REDIS_URL"] = url_of(folder)
        if not settings.store:
            added["GPSERVE_STORE"] = f"file://{folder / 'store'}"
    return added | {k: v for k, v in _LOCAL_DEFAULTS.items() if not os.environ.get(k)}


def make_folder(folder: Path) -> None:
    """Make the data folder; raise a `SettingsError` where nothing can be written to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be the data folder: {error.strerror}; set GPSERVE_DATA to a folder "
            "that you can write to"
        ) from None


def let_output_be_opened() -> None:
    """Put a pipe in the place of a standard output that supervisord could not open by its name.

    That is a socket, as under systemd, or a file or terminal of another user, as after `su`.
    """
    try:
        os.close(os.open("/dev/fd/1", os.O_WRONLY | os.O_APPEND))
    except OSError:
        reading, writing = os.pipe()
        # In a session of its own: at Ctrl-C it passes on what the others say until they have ended.
        subprocess.Popen(["cat"], stdin=reading, start_new_session=True)
        os.dup2(writing, sys.stdout.fileno())
        os.close(reading)
        os.close(writing)


def exit_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent process is gone, also after an exec (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
