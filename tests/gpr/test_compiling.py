"""The compiled kernel: its exponential, when it is compiled, and when it is not."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.gpr import compiling, native
from service.gpr.kernels import Exponential
from service.model import FloatArray
from tests.gpr.exactkernels import exactly  # which sets the precision to 400 bits

FILES = ("triangle.c", "compiling.py")


def exponentials(library: native.Library, x: FloatArray) -> FloatArray:
    """Return exp(-x) for x ≥ 0: the kernel Exponential of two numbers x apart."""
    N = len(x)
    zero, one, first = np.zeros(1), np.ones(1), np.zeros(1, dtype=np.int64)
    arrays = (first, zero, one, one, one, np.ascontiguousarray(x))
    form = ("RBF", "Exponential").index(Exponential(1).name)
    term = native.Term(form, 1, 1, N, 1.0, 0.0, *(array.ctypes.data for array in arrays))
    out = np.empty(N)
    library.covariances(ctypes.pointer(term), zero.ctypes.data, 1, out.ctypes.data)
    return out


@pytest.mark.parametrize("build", native.usable())
def test_the_exponential_is_right_to_an_ulp(build: str) -> None:
    rng = np.random.default_rng(0)
    small, large, tiny = rng.uniform(0, 3, 2000), rng.uniform(0, 708, 2000), rng.uniform(-20, 0, 96)
    x = np.concatenate([small, large, 10**tiny])
    found = exponentials(native.Library(build), x)
    ulps = np.spacing(found).tolist()
    for value, exact, ulp in zip(exactly(found), exactly(x), ulps, strict=True):
        assert abs(value - (-exact).exp()) < 0.85 * ulp


def test_exponentials_at_the_ends() -> None:
    library = native.library()
    if library is None:
        pytest.skip("nothing is compiled: run make kernel, with a C compiler")
    x = np.resize([0.0, 708.5, 1e200, np.inf, np.nan, 5e-324], native.ROWS)
    found = exponentials(library, x)[:6].tolist()
    assert found[:4] == [1, 0, 0, 0]
    assert np.isnan(found[4])
    assert found[5] == 1


def compile_in(folder: Path, path: str, **environment: str) -> str:
    """Run the program on copies of its files, and return what it prints."""
    for name in FILES:
        target = folder / name
        if not target.exists():
            shutil.copy(compiling.SOURCE.with_name(name), target)
    done = subprocess.run(
        [sys.executable, str(folder / "compiling.py")],
        env={"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout


def libraries(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "__pycache__").glob("*"))


def test_without_a_compiler_it_says_so(tmp_path: Path) -> None:
    assert "NumPy computes" in compile_in(tmp_path, "/nonexistent")
    assert "false failed: exit status 1" in compile_in(tmp_path, "/nonexistent", CC="/bin/false")
    assert libraries(tmp_path) == []


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_it_is_compiled_once_for_each_source(tmp_path: Path) -> None:
    path = str(Path(str(shutil.which("cc"))).parent)
    source = tmp_path / "triangle.c"
    source.write_text("void product(void) {}\n")  # the kernel itself takes many seconds
    assert compile_in(tmp_path, path).startswith("compiled triangle.c")
    first = libraries(tmp_path)
    assert compile_in(tmp_path, path) == ""
    source.write_text("void product(void) {} /* changed */\n")
    compile_in(tmp_path, path)
    second = libraries(tmp_path)
    assert len(second) == len(first) == len(compiling.builds())
    assert not set(first) & set(second)
