"""The triangular product of the OpenBLAS that NumPy itself has loaded.

NumPy calls no triangular product, and SciPy, which does, costs 27 MB and brings a second BLAS. So
the function is taken by name from the library that is there already. Where NumPy was built
otherwise there is none, and rectangular products do the work, some 10 % slower.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np

from service.model import FloatArray

NAMES = {
    "scipy_cblas_dtrmm64_": ctypes.c_int64,
    "cblas_dtrmm64_": ctypes.c_int64,
}
"""NumPy's own wheels, and builds on an OpenBLAS with 64-bit integers: names that tell the width."""

ROW_MAJOR, RIGHT, LOWER, TRANSPOSED, NOT_UNIT = 101, 142, 122, 112, 131

InPlace = Callable[[FloatArray, FloatArray], None]


def find() -> InPlace | None:
    """Return a function ``f(B, C)`` that writes ``B @ C.T`` into B, C lower triangular, or None.

    Both are C-ordered; C may be a view of wider rows. It lets other threads run meanwhile.
    """
    library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    for name, integer in NAMES.items():
        try:
            dtrmm = getattr(library, name)
        except AttributeError:
            continue
        dtrmm.restype = None
        dtrmm.argtypes = [
            *[ctypes.c_int] * 5, integer, integer, ctypes.c_double,
            ctypes.c_void_p, integer, ctypes.c_void_p, integer,
        ]  # fmt: skip
        return _in_place(dtrmm)
    return None


def _in_place(dtrmm: Callable[..., None]) -> InPlace:
    def product(B: FloatArray, C: FloatArray) -> None:
        n, size = B.shape
        dtrmm(
            ROW_MAJOR, RIGHT, LOWER, TRANSPOSED, NOT_UNIT, n, size, 1.0,
            C.ctypes.data, C.strides[0] // 8, B.ctypes.data, B.strides[0] // 8,
        )  # fmt: skip

    return product
