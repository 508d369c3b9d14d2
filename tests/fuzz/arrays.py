"""Arrays in .npy files, and model files, which are archives of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np

from service.gpr import GPR
from service.gpr import file as modelfile
from service.model import ModelFileError
from service.runtime.proving import refuse_bomb
from service.services import arrays
from service.services.body import open_body
from service.services.options import Options
from tests.fuzz import models
from tests.fuzz.answers import answer, reader, variant
from tests.fuzz.mutating import LONGEST
from tests.fuzz.running import Reader, Wrong, in_memory

_HEADER = (
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }",
    b"'descr'", b"'fortran_order': True", b"'shape': (1, 4)", b"(4,)", b"()", b"(0, 4)", b"(-1, 4)", b"(9999999999, 4)", b"'|O'",
    b"'>f4'", b"'<i8'", b"'|b1'", b"'<c16'", b"'<U5'", b"'<M8[s]'", b"[('a', '<f8')]", b"'|V8'", b"'<f2'", b"'|u1'", b"L", b"{", b"}",
    b"\x93NUMPY\x01\x00v\x00", b"\x93NUMPY\x02\x00", b"\x93NUMPY\x03\x00", b"__import__('os')", b"(" * 60, b"'<f16'", b"1e999",
)  # fmt: skip


def _npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), version=version, allow_pickle=True)
    return out.getvalue()


_X = np.array([[-20, 181, 500, 30], [-21.5, 180, 100, 40]])


def points() -> Reader:
    """Arrays of points."""
    seeds = [
        _npy(_X),
        _npy(_X.astype("<f4")),
        _npy(_X.astype(">i8")),
        _npy(np.asfortranarray(_X)),
        _npy(np.stack([_X, _X])),
        _npy(_X[0]),
        _npy(_X, (2, 0)),
        _npy(np.tile(_X, (6, 1)).astype("u1")),
        _npy(np.array([[1.5, 0], [2, 3]])),
        _npy(np.array([["a", None]], object)),
    ]
    return Reader(_read_points, seeds, _HEADER, _array)


def _read_points(data: bytes) -> str:
    number = variant(data)
    model = models.words() if number % 8 == 7 or b"(2, 2)" in data[:128] else models.numbers()
    body = open_body(io.BytesIO(data), "", LONGEST * 2)
    source = reader(model).array(body)
    head = arrays.read_header(io.BytesIO(data), len(model.feature_names))
    arrays.refuse_wrong_size(head, len(data))
    return answer(model, source, Options(gradient=number % 3 == 0), number)


def _array(random: Random) -> bytes:
    """A file with a header of parts that are all right or nearly so."""
    shape = random.choice(
        ((2, 4), (4,), (1, 1, 4), (4, 2), (0, 4), (3, 2), (), (2**40, 4), (1,) * 40 + (4,))
    )
    descr = random.choice(
        (
            "<f8",
            "<f8",
            ">f8",
            "<f4",
            "<i2",
            "|u1",
            "|b1",
            "<c8",
            "|O",
            "<U1",
            "<f2",
            "|V4",
            "<m8[s]",
        )
    )
    order = random.choice(("False", "False", "True", "0", "None"))
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * random.randrange(80) + b"\n"
    version = random.choice((1, 1, 1, 2, 3))
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    count = int(min(np.prod(shape, dtype=float), 64)) * int(
        descr[2:3] if descr[2:3].isdigit() else 8
    )
    return b"\x93NUMPY" + bytes((version, 0)) + size + text + random.randbytes(count)


def model_files() -> Reader:
    """Model files, proven as an upload is, but in this process."""
    seeds = [modelfile.encode(model.posterior) for model in (models.numbers(), models.words())]
    opened = [_members(seed) for seed in seeds]

    def generate(random: Random) -> bytes:
        return _archive(random, dict(random.choice(opened)))

    words = (
        *_HEADER,
        *(f"{name}.npy".encode() for name in opened[0]),
        b"PK\x01\x02",
        b"PK\x05\x06",
    )
    path = in_memory("model.npz")

    def read(data: bytes) -> str:
        path.write_bytes(data)
        return _prove(path)

    return Reader(read, seeds, words, generate, (ModelFileError,))


def _prove(path: Path) -> str:
    refuse_bomb(path, 1 << 20)
    model = GPR.load(path)
    msgspec.json.encode(model.description.as_json())
    if not np.isfinite(model.predict(model.description.points_across(3))).all():
        raise Wrong("a model is served whose answers are not finite")
    return "served"


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}


def _archive(random: Random, members: dict[str, bytes]) -> bytes:
    """An archive in which a few arrays are others, with right checksums."""
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        with suppress(Exception):  # this array may have been broken before
            random.choice(_CHANGES)(random, members, random.choice(list(members)))
    out = io.BytesIO()
    how = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def _leave_out(random: Random, members: dict[str, bytes], name: str) -> None:
    del members[name]


def _exchange(random: Random, members: dict[str, bytes], name: str) -> None:
    members[name] = members[random.choice(list(members))]


def _change_bytes(random: Random, members: dict[str, bytes], name: str) -> None:
    data = bytearray(members[name])
    for _ in range(random.randrange(1, 4)):
        data[random.randrange(len(data))] = random.randrange(256)
    members[name] = bytes(data)


def _change_numbers(random: Random, members: dict[str, bytes], name: str) -> None:
    array = np.load(io.BytesIO(members[name]))
    if array.size and array.dtype.kind in "fi":
        odd = (0, -1, 1, 2, 1e308, -1e308, 1e-308, np.nan, np.inf, 0.5, 1e150, 2**31)
        with np.errstate(all="ignore"):
            changed = array.astype(np.float64)
            changed.flat[random.randrange(array.size)] = random.choice(odd)
            members[name] = _npy(changed.astype(array.dtype))


def _change_shape(random: Random, members: dict[str, bytes], name: str) -> None:
    array = np.load(io.BytesIO(members[name]))
    members[name] = _npy(
        random.choice(
            (array.reshape(-1), array[None], array.reshape(-1)[:1], array.reshape(-1)[:0])
        )
    )


def _change_type(random: Random, members: dict[str, bytes], name: str) -> None:
    array = np.load(io.BytesIO(members[name]))
    kinds = ("<f4", "<i4", "<i8", "<U9", "|S3", "<c16", "|b1", "<f8", "<u8", "|O", "<f16")
    with np.errstate(all="ignore"):
        members[name] = _npy(array.astype(random.choice(kinds)))


_Change = Callable[[Random, dict[str, bytes], str], None]
_CHANGES: tuple[_Change, ...] = (
    _leave_out,
    _exchange,
    _change_bytes,
    _change_numbers,
    _change_numbers,
    _change_shape,
    _change_type,
)
