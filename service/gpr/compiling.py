"""Compile `triangle.c` where there is a C compiler: `python service/gpr/compiling.py`.

Without one, models are served by NumPy. Nothing but the standard library is imported, so that it
runs where nothing is installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path(__file__).with_name("triangle.c")

FLAGS = [
    *["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
    *["-fvisibility=hidden", "-fPIC", "-shared"],
]
"""None of them lets a compiler change a bit: a trap and an errno are only signals of an error."""

_WIDE = ["-mprefer-vector-width=512"]
_AVX512 = ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma"]

BUILDS: dict[str, dict[str, list[str]]] = {
    "x86_64": {"AVX-512": [*_AVX512, *_WIDE], "AVX2": ["-mavx2", "-mfma"]},
    "aarch64": {"NEON": []},
    "arm64": {"NEON": []},
}
"""For each kind of processor what is compiled, the fastest first: all give the same bits."""

SECONDS = 120
"""Until a compiler is given up."""


def builds() -> dict[str, list[str]]:
    """Return the builds for this machine, by name: the options that make each."""
    return BUILDS.get(platform.machine(), {})


def library(build: str) -> Path:
    """Return the file of a build.

    Its name depends on the source, the options and the platform, so that a file that exists is not
    out of date. It is beside the bytecode, which neither Git nor an image's build takes over.
    """
    options = [*builds()[build], *FLAGS, platform.system(), platform.machine()]
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(options).encode()).hexdigest()[:12]
    return SOURCE.parent / "__pycache__" / f"triangle-{build.lower()}-{digest}.so"


def compile_all() -> str:
    """Compile what is missing. Return a sentence that says what was done, or nothing."""
    if not builds():
        return (
            f"there is no kernel for {platform.machine()} to compile: NumPy computes, more slowly"
        )
    if _made():
        return ""
    reason = "there is no C compiler (cc, gcc, clang, or the package ziglang)"
    for name, command in _compilers():
        reasons = [_compile(command, build) for build in builds()]
        if made := _made():
            _remove_old()
            return f"compiled {SOURCE.name} for {' and '.join(made)} by {name}"
        reason = f"{name} failed: {reasons[0]}"
    return f"{reason}: NumPy computes, more slowly"


def _made() -> list[str]:
    return [build for build in builds() if library(build).exists()]


def _compilers() -> Iterator[tuple[str, list[str]]]:
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            yield name, [found]
    if find_spec("ziglang"):
        yield "ziglang", [sys.executable, "-m", "ziglang", "cc"]


_ZIG = {
    "AVX-512": ["-mcpu=x86_64_v4", *_WIDE],
    "AVX2": ["-mcpu=x86_64_v3"],
    "NEON": ["-mcpu=generic"],
}
"""Without such an option it compiles for the very processor that it runs on."""


def _compile(command: list[str], build: str) -> str:
    """Compile one build; return why it failed, or nothing."""
    options = _ZIG[build] if "ziglang" in command else builds()[build]
    target = library(build)
    part = target.with_suffix(f".{os.getpid()}.part")
    command = [*command, *options, *FLAGS, "-o", str(part), str(SOURCE)]
    try:
        target.parent.mkdir(exist_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line]
            return errors[0] if errors else f"exit status {done.returncode}"
        part.replace(target)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        part.unlink(missing_ok=True)
    return ""


def _remove_old() -> None:
    current = {library(build) for build in builds()}
    for path in (SOURCE.parent / "__pycache__").glob("triangle-*.so"):
        if path not in current:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    if said := compile_all():
        print(said)
