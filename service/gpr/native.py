"""The functions of `triangle.c`, where `compiling` has compiled it. Calls release the GIL."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

import numpy as np

from service.gpr import compiling
from service.model import FloatArray

ROWS = 32
"""Sizes are filled up with zeros to a multiple of it, as in `triangle.c`."""

_NEEDED = {"AVX-512": ("X86_V4", "AVX512_SKX"), "AVX2": ("X86_V3", "AVX2"), "NEON": ("ASIMD",)}
"""What NumPy's releases call the features of a processor that a build needs."""


class Term(ctypes.Structure):
    """`struct term`: a covariance function and Z."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("form", "inputs", "d", "N")),
        *((name, ctypes.c_double) for name in ("variance", "shape")),
        *((name, ctypes.c_void_p) for name in ("active", "offset", "scale", "inverse")),
        *((name, ctypes.c_void_p) for name in ("sharpness", "Z")),
    )


class Triangle(ctypes.Structure):
    """`struct triangle`: the packed factor and α."""

    _fields_ = (("N", ctypes.c_int64), ("C", ctypes.c_void_p), ("alpha", ctypes.c_void_p))


class Library:
    """One build of `triangle.c`.

    Attributes
    ----------
    build : a name in `compiling.BUILDS`
    """

    def __init__(self, build: str) -> None:
        self.build = build
        library = ctypes.CDLL(str(compiling.library(build)))
        array, size = ctypes.c_void_p, ctypes.c_ssize_t
        term, triangle = ctypes.POINTER(Term), ctypes.POINTER(Triangle)
        self.covariances = library.covariances
        self.covariances.argtypes = [term, array, size, array]
        self.predict = library.predict
        self.predict.argtypes = [triangle, array, size, ctypes.c_int, array, array]
        self.product = library.product
        self.transposed = library.transposed
        self.product.argtypes = [triangle, array, size, ctypes.c_int, array]
        self.transposed.argtypes = [triangle, array, size, array]
        self.dots = library.dots
        self.dots.argtypes = [array, size, array, size, size, array]
        for function in (
            self.covariances, self.predict, self.product, self.transposed, self.dots,
        ):  # fmt: skip
            function.restype = None


@cache
def library() -> Library | None:
    """Return the fastest build that this processor can run, or None: NumPy is then to compute."""
    for build in usable():
        with suppress(OSError):  # as where files of this folder may not be executed
            return Library(build)
    return None


def usable() -> list[str]:
    """Return the names of the builds that exist and that this processor can run."""
    features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    return [
        build
        for build in compiling.builds()
        if any(map(features.get, _NEEDED[build])) and compiling.library(build).exists()
    ]


def padded(n: int) -> int:
    """Return the multiple of `ROWS` that n is filled up to."""
    return -(-n // ROWS) * ROWS


def aligned(*shape: int) -> FloatArray:
    """Return zeros that begin where a line of the processor's cache begins."""
    size = int(np.prod(shape))
    buffer = np.zeros(size + 8)
    start = -buffer.ctypes.data // 8 % 8
    return buffer[start : start + size].reshape(shape)
