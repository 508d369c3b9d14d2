"""Prove a model file that somebody sends: in a process of its own, with bounded memory and time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from service.model import ModelFileError
from service.runtime.live import model_class

SECONDS = 120.0
"""The longest that a proof may take."""

_MOST_MEMBERS = 10_000
_MEMORY_PER_BYTE = 4
_BASE_MEMORY = 256 << 20
_FAILED = 3
_one_at_a_time = threading.Lock()


def refuse_bomb(path: Path, limit: int) -> None:
    """Raise a `ModelFileError` for an archive whose directory announces more than `limit` bytes.

    Only the directory is read. A member that is larger than announced is refused by `zipfile`.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ModelFileError(f"not an .npz model file: {error}") from None
    size = sum(member.file_size for member in members)
    if size > limit:
        raise ModelFileError(f"it unpacks to {size} bytes, more than {limit}")
    if len(members) > _MOST_MEMBERS:
        raise ModelFileError(f"it has {len(members)} arrays")


def prove(path: Path, class_name: str, limit: int) -> dict[str, Any]:
    """Load a model file as every replica will, in another process, and return its description.

    Raises `ModelFileError`: it cannot be served; the message says why.
    """
    refuse_bomb(path, limit)
    memory = _BASE_MEMORY + _MEMORY_PER_BYTE * limit
    command = [sys.executable, "-m", "service.runtime.proving", str(path), class_name, str(memory)]
    environ = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with _one_at_a_time:
        try:
            done = subprocess.run(
                command, env=environ, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ModelFileError(f"loading it takes longer than {SECONDS:g} s") from None
    if done.returncode == _FAILED:
        raise ModelFileError(msgspec.json.decode(done.stdout, type=str))
    if done.returncode:
        raise ModelFileError("loading it takes more memory than a model may, or ends the process")
    return msgspec.json.decode(done.stdout, type=dict[str, Any])


def _main(path: str, class_name: str, memory: str) -> int:
    with suppress(OSError):  # where memory runs out, this process dies, not the server
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory), int(memory)))
    try:
        description = model_class(class_name).load(Path(path)).description.as_json()
    except ModelFileError as error:
        reason = str(error)
    except Exception as error:  # a model's own class may raise anything
        reason = f"{type(error).__name__}: {error}"
    else:
        sys.stdout.buffer.write(msgspec.json.encode(description))
        return 0
    sys.stdout.buffer.write(msgspec.json.encode(reason[:500]))
    return _FAILED


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
