"""Arrays in NumPy's .npy format: read without pickle and checked before any prediction."""

from __future__ import annotations

import io
import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from service.model import FloatArray, read_npy_safely
from service.services.body import Spool
from service.services.chunks import Chunk, Source, refuse_unusable, row_ranges
from service.services.errors import malformed, too_large, unusable
from service.services.features import Features

MAGIC = b"\x93NUMPY"


def read_array(spool: Spool, features: Features, *, size: int, limit: int) -> Source:
    """Return the points of a .npy file, shape (..., d), with codes of categorical features.

    Raises `Problem`: 400 when it is not a .npy file, 413 beyond `limit` points, 422 for a wrong
    last axis, a type other than real numbers, or values that are not finite or no code (with
    ``row``).
    """
    d = len(features.names)
    header = read_header(spool.open(), d)
    if header.rows > limit:
        raise too_large(
            f"{header.rows} points are more than {limit}: send them in parts", limit=limit
        )
    array = _mapped(spool.buffer(), header)
    for start, X in _blocks(array, d, size):
        refuse_unusable(X, features, start, " of the array")
    return Source(list(features.names), header.shape[:-1], _chunks(array, d, size))


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a .npy file, whose data begin at byte `start`."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def rows(self) -> int:
        """The number of points."""
        return math.prod(self.shape[:-1])

    @property
    def size(self) -> int:
        """The size of the whole file in bytes."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def read_header(head: BinaryIO, d: int) -> Header:
    """Read the header of a .npy file of points with d features.

    Raises `Problem`: 400 when it is not a .npy file, 422 for a wrong last axis or a type other than
    real numbers.
    """
    shape, fortran, dtype = _header(head)
    if any(n < 0 for n in shape):
        raise malformed(f"not a .npy file: its shape is {shape}")
    if dtype.hasobject:
        raise unusable("the .npy file holds pickled objects, which are never read: send numbers")
    if dtype.kind not in "fiu":
        raise unusable(f"the .npy file holds {dtype}, not real numbers")
    if not shape or shape[-1] != d:
        raise unusable(f"the array has shape {shape}; its last axis must have length {d}")
    header = Header(shape, fortran, dtype, head.tell())
    if header.rows == 0:
        raise unusable(f"there are no points: the array has shape {shape}")
    return header


def _header(body: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        return read_npy_safely(lambda: _header_from_start(body))
    except SystemError:  # CPython's fault, not the file's
        raise
    except Exception as error:  # NumPy parses the header as Python, which may fail in any way
        raise malformed(f"not a .npy file: {str(error)[:200]}") from None


def _header_from_start(body: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    body.seek(0)
    version = npy.read_magic(body)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = reader(body)
    np.empty((0,) * len(shape))  # raises an error if there are too many dimensions
    return shape, fortran, dtype


def _mapped(buffer: bytes | mmap.mmap, header: Header) -> NDArray[Any]:
    refuse_wrong_size(header, len(buffer))
    order: Literal["F", "C"] = "F" if header.fortran else "C"
    return np.ndarray(header.shape, header.dtype, buffer, offset=header.start, order=order)


def refuse_wrong_size(header: Header, size: int) -> None:
    """Raise a `Problem` 400 when a file of `size` bytes does not have the length of its header."""
    if size != header.size:
        have, want = size - header.start, header.size - header.start
        raise malformed(
            f"the .npy file holds {have} bytes of data, but its header announces {want}"
        )


def _blocks(array: NDArray[Any], d: int, size: int) -> Iterator[tuple[int, FloatArray]]:
    n = array.size // d
    if array.flags.c_contiguous:
        flat = array.reshape(n, d)
        for a, b in row_ranges(n, size):
            yield a, np.ascontiguousarray(flat[a:b], dtype=np.float64)
        return
    for a, b in row_ranges(n, size):
        rows = np.unravel_index(np.arange(a, b), array.shape[:-1])
        yield a, np.ascontiguousarray(array[rows], dtype=np.float64)


def _chunks(array: NDArray[Any], d: int, size: int) -> Iterator[Chunk]:
    return (Chunk(X) for _, X in _blocks(array, d, size))


def header_bytes(shape: tuple[int, ...]) -> bytes:
    """Return the .npy header of a C-ordered float64 array."""
    out = io.BytesIO()
    descr = npy.dtype_to_descr(np.dtype(np.float64))
    npy.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()
