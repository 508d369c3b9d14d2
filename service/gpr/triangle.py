"""Products with a lower triangular matrix by NumPy: it is stored as a column of blocks."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np

from service.model import FloatArray

DTRMM_NAMES = {
    "scipy_cblas_dtrmm64_": ctypes.c_int64,
    "cblas_dtrmm64_": ctypes.c_int64,
}
"""In NumPy's wheels, and in builds on an OpenBLAS with 64-bit integers: each implies the width."""

ROW_MAJOR, RIGHT, LOWER, TRANSPOSED, NOT_UNIT = 101, 142, 122, 112, 131

InPlace = Callable[[FloatArray, FloatArray], None]


def find_trmm() -> InPlace | None:
    """Return a function ``f(B, C)`` that writes ``B @ C.T`` into B, C lower triangular, or None.

    Both are C-ordered; C may be a view of wider rows. The call releases the GIL.
    """
    library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    for name, integer in DTRMM_NAMES.items():
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


class BlockTriangle:
    """C, lower triangular (N, N), with the vector a (N,) as one more row below it.

    Products take it in blocks of rows, cut off at the diagonal, so that they cost N²
    floating-point operations per point instead of 2N².
    """

    def __init__(
        self, packed: FloatArray, last_row: FloatArray, block: int, *, copies: bool
    ) -> None:
        n = self.size = len(last_row)
        # Rows that start a page apart would share one set of the cache.
        width = n + 8 if n % 512 == 0 else n
        stacked = np.zeros((n + 1, width))[:, :n]
        for row in range(n):
            first = row * (row + 1) // 2
            stacked[row, : row + 1] = packed[first : first + row + 1]
        stacked[n] = last_row
        self.C, self.a = stacked[:n], stacked[n]
        self.edges = [(i, min(i + block, n)) for i in range(0, n, block)]
        self.blocks = [stacked[i : j + (j == n), :j] for i, j in self.edges]
        if copies:
            # Matrix-vector products are a fifth faster on contiguous rows.
            self.blocks = [np.ascontiguousarray(rows) for rows in self.blocks]
        self.trmm = find_trmm()

    def inputs(self, K: FloatArray) -> list[FloatArray]:
        """Return views of K, shape (n, N): the columns that each block is multiplied by."""
        return [K[:, :j] for _, j in self.edges]

    def outputs(self, V: FloatArray) -> list[FloatArray]:
        """Return views of V, shape (n, N + 1): the columns that each block writes."""
        return [
            V[:, i : i + len(rows)] for (i, _), rows in zip(self.edges, self.blocks, strict=True)
        ]

    def row_by_row(self, K: Sequence[FloatArray], V: Sequence[FloatArray]) -> None:
        """Write ``K @ C.T`` and, as the last column, ``K @ a`` into V, each row on its own.

        One matrix-vector product per row and block: a row's bits cannot depend on the others, and
        a block stays in the processor's cache for all rows.
        """
        for k, rows, v in zip(K, self.blocks, V, strict=True):
            np.matvec(rows, k, out=v)

    def at_once(self, K: Sequence[FloatArray], V: Sequence[FloatArray]) -> None:
        """Write the same with one matrix product per block for all rows."""
        for k, rows, v in zip(K, self.blocks, V, strict=True):
            np.matmul(k, rows.T, out=v)

    def sums_of_squares(
        self, mean: FloatArray, squares: FloatArray, K: FloatArray, scratch: FloatArray
    ) -> None:
        """Write ``K @ a`` and the sums of squares of the rows of ``K @ C.T``, for many rows.

        K is overwritten.
        """
        np.matmul(K, self.a, out=mean)
        if self.trmm:
            self.trmm(K, self.C)
            np.vecdot(K, K, out=squares)
            return
        squares[:] = 0
        for i, j in self.edges:
            V = np.matmul(K[:, :j], self.C[i:j, :j].T, out=scratch[:, : j - i])
            squares += np.vecdot(V, V)

    def factor_product(self, K: FloatArray) -> FloatArray:
        """Return ``K @ C.T``, shape (n, N)."""
        V = np.empty((len(K), self.size + 1))
        self.at_once(self.inputs(K), self.outputs(V))
        return V[:, :-1]

    def transposed_product(self, V: FloatArray) -> FloatArray:
        """Return ``V @ C``, shape (n, N)."""
        W = np.zeros((len(V), self.size))
        for (i, j), rows in zip(self.edges, self.blocks, strict=True):
            W[:, :j] += V[:, i:j] @ rows[: j - i]
        return W
