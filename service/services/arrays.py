"""Arrays in NumPy's .npy format: read without pickle, checked before anything is predicted."""

from __future__ import annotations

import io
import math
import mmap
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from service.model import FloatArray
from service.services.body import Spool
from service.services.chunks import Chunk, Source
from service.services.problems import malformed, too_large, unusable

MAGIC = b"\x93NUMPY"


def read_array(spool: Spool, names: Sequence[str], *, size: int, limit: int) -> Source:
    """The points of a .npy file, shape (..., d).

    Raises
    ------
    Problem
        400 when it is not such a file, 413 beyond `limit` points, 422 for a wrong last axis,
        a type that holds no numbers, or values that are not finite (with ``row``).
    """
    head = spool.open()
    shape, fortran, dtype = _header(head)
    if dtype.hasobject:
        raise unusable("the .npy file holds pickled objects, which are never read here")
    if dtype.kind not in "fiu":
        raise unusable(f"the .npy file holds {dtype}, not real numbers")
    d = len(names)
    if not shape or shape[-1] != d:
        raise unusable(f"the array has shape {shape}; its last axis must have length {d}")
    n = math.prod(shape[:-1])
    if n == 0:
        raise unusable(f"there are no points: the array has shape {shape}")
    if n > limit:
        raise too_large(f"{n} points are more than {limit}: send them in parts", limit=limit)
    array = _mapped(spool.buffer(), head.tell(), shape, fortran, dtype)
    _refuse_nonfinite(array, d, size)
    return Source(list(names), shape[:-1], _chunks(array, d, size))


def _header(body: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(body)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        return reader(body)
    except (ValueError, SyntaxError, TypeError) as error:
        raise malformed(f"not a .npy file: {str(error)[:200]}") from None


def _mapped(
    buffer: bytes | mmap.mmap,
    start: int,
    shape: tuple[int, ...],
    fortran: bool,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    have = len(buffer) - start
    want = math.prod(shape) * dtype.itemsize
    if have != want:
        raise malformed(f"the .npy file holds {have} bytes of data, its header says {want}")
    return np.ndarray(shape, dtype, buffer, offset=start, order="F" if fortran else "C")


def _refuse_nonfinite(array: NDArray[Any], d: int, size: int) -> None:
    for start, X in _blocks(array, d, size):
        bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
        if bad.size:
            row = start + int(bad[0])
            raise unusable(f"point {row} of the array is not finite: {X[bad[0]].tolist()}", row=row)


def _blocks(array: NDArray[Any], d: int, size: int) -> Iterator[tuple[int, FloatArray]]:
    n = array.size // d
    if array.flags.c_contiguous:
        flat = array.reshape(n, d)
        for start in range(0, n, size):
            yield start, np.ascontiguousarray(flat[start : start + size], dtype=np.float64)
        return
    for start in range(0, n, size):
        rows = np.unravel_index(np.arange(start, min(start + size, n)), array.shape[:-1])
        yield start, np.ascontiguousarray(array[rows], dtype=np.float64)


def _chunks(array: NDArray[Any], d: int, size: int) -> Iterator[Chunk]:
    return (Chunk(X) for _, X in _blocks(array, d, size))


def header_bytes(shape: tuple[int, ...]) -> bytes:
    """The .npy header of a C-ordered float64 array."""
    out = io.BytesIO()
    descr = npy.dtype_to_descr(np.dtype(np.float64))
    npy.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()
