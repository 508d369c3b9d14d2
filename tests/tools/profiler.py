"""Writes down which functions of service/ a process calls, while a file is there to write to.

`entered.py` puts a copy of this file into every process, under the name that Python imports at its
start. So it imports nothing of ours.
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
"""Environment variables: the file to write to, and the folder whose functions are meant."""

_output, _folder = os.environ.get(OUTPUT, ""), os.environ.get(FOLDER, "")


def _note(frame: FrameType, event: str, _: Any) -> None:
    code = frame.f_code
    # Bodies of modules and of classes are not functions.
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
    """Whether a module's body calls the function; `python -m service` is one that runs for ever."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename.startswith(_folder):
            return not code.co_filename.endswith("__main__.py")
        frame = frame.f_back
    return False


if _output and _folder:
    sys.setprofile(_note)
    threading.setprofile(_note)
