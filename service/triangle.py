"""Products with a lower triangular matrix, kept as a column of rectangular blocks."""

from __future__ import annotations

import numpy as np

from service.model import FloatArray


class BlockTriangle:
    """C, lower triangular (N, N), with the vector a (N,) as one more row below it.

    Only the blocks that hold something are kept, so that a product costs N² floating-point
    operations a point instead of 2N², and the memory is half of a square's.
    """

    def __init__(self, packed: FloatArray, last_row: FloatArray, block: int) -> None:
        self.size = len(last_row)
        starts = range(0, self.size, block)
        self.edges = [(i, min(i + block, self.size)) for i in starts]
        self.blocks = [self._block(packed, i, j) for i, j in self.edges]
        self.blocks[-1][-1] = last_row

    def _block(self, packed: FloatArray, i: int, j: int) -> FloatArray:
        rows = np.zeros((j - i + (j == self.size), j))
        for row in range(i, j):
            first = row * (row + 1) // 2
            rows[row - i, : row + 1] = packed[first : first + row + 1]
        return rows

    def products(self, K: FloatArray, V: FloatArray) -> None:
        """Write ``K @ C.T`` and, as the last column, ``K @ a`` into V, shape (n, N + 1)."""
        for (i, j), rows in zip(self.edges, self.blocks, strict=True):
            np.matmul(K[:, :j], rows.T, out=V[:, i : i + len(rows)])

    def into(self, out: FloatArray, K: FloatArray, scratch: FloatArray) -> None:
        """Write ``K @ a`` and the rows' sums of squares of ``K @ C.T`` into out, shape (n, 2).

        Block by block, each while it is still in the processor's cache.
        """
        out[:, 1] = 0
        for (i, j), rows in zip(self.edges, self.blocks, strict=True):
            V = np.matmul(K[:, :j], rows.T, out=scratch[:, : len(rows)])
            squares = V[:, : j - i]
            out[:, 1] += np.vecdot(squares, squares)
        out[:, 0] = V[:, -1]

    def factor_product(self, K: FloatArray) -> FloatArray:
        """``K @ C.T``, shape (n, N)."""
        V = np.empty((len(K), self.size + 1))
        self.products(K, V)
        return V[:, :-1]

    def transposed_product(self, V: FloatArray) -> FloatArray:
        """``V @ C``, shape (n, N)."""
        W = np.zeros((len(V), self.size))
        for (i, j), rows in zip(self.edges, self.blocks, strict=True):
            W[:, :j] += V[:, i:j] @ rows[: j - i]
        return W
