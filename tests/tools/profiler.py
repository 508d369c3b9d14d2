"""Record which functions of service/ a process calls, as long as the output file exists.

`entered.py` copies this file to `sitecustomize.py`, which every Python process imports at start-up.
Therefore it imports nothing from this repository.
"""

from __future__ import annotations

import os
import sys
import threading
from inspect import CO_OPTIMIZED
from types import FrameType
from typing import Any

OUTPUT = "PROFILER_OUTPUT"
FOLDER = "PROFILER_FOLDER"
"""Environment variables: the file to write to, and the folder whose functions are recorded."""

_output, _folder = os.environ.get(OUTPUT, ""), os.environ.get(FOLDER, "")


def _note(frame: FrameType, event: str, _: Any) -> None:
    code = frame.f_code
    # The bodies of modules and classes are not functions.
    if event != "call" or not code.co_flags & CO_OPTIMIZED:
        return
    if not code.co_filename.startswith(_folder):
        return
    try:
        output = os.open(_output, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return
    try:
        if not _is_import(frame):
            file = os.path.relpath(code.co_filename, _folder)
            thread = threading.current_thread().name
            os.write(output, f"{file}\t{code.co_qualname}\t{thread}\n".encode())
    finally:
        os.close(output)


def _is_import(frame: FrameType | None) -> bool:
    """Whether an import runs the function; `__main__.py`, which runs forever, does not count."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename.startswith(_folder):
            return not code.co_filename.endswith("__main__.py")
        frame = frame.f_back
    return False


if _output and _folder:
    sys.setprofile(_note)
    threading.setprofile(_note)
