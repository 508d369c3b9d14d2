"""Compressed bodies: every coding that clients send is read, within the limit."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable

import pytest

from service.services.body import open_body
from service.services.errors import Problem

DATA = bytes(range(256)) * 4000
LIMIT = len(DATA)


def _raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": _raw_deflate,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
    "gzip,identity, deflate,": lambda data: _raw_deflate(gzip.compress(data)),
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_what_is_read(encoding: str) -> None:
    encoded = ENCODERS[encoding](DATA)
    assert open_body(io.BytesIO(encoded), encoding, LIMIT).read() == DATA
    _refused(encoded, encoding, LIMIT - 1, 413, "larger than")


def _refused(body: bytes, encoding: str, limit: int, status: int, says: str) -> Problem:
    with pytest.raises(Problem, match=says) as caught:
        open_body(io.BytesIO(body), encoding, limit).read()
    assert caught.value.status == status
    return caught.value


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "Deflate "])
def test_what_is_broken(encoding: str) -> None:
    body, name = ENCODERS[encoding](DATA), encoding.strip().lower()
    _refused(body[:-5], encoding, LIMIT, 400, f"the {name} body is truncated")
    _refused(body[:11], encoding, LIMIT, 400, f"the {name} body is truncated")
    _refused(b'{"points": [[1, 2]]}', encoding, LIMIT, 400, f"the body is not valid {name}")
    _refused(body + b"{}", encoding, LIMIT, 400, f"the body is not valid {name}")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, deflate"])
def test_an_empty_body_stays_empty(encoding: str) -> None:
    assert open_body(io.BytesIO(), encoding, LIMIT).read() == b""


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "compress", "gzip, gzip, gzip"])
def test_what_is_unsupported(encoding: str) -> None:
    problem = _refused(b"", encoding, LIMIT, 415, "supported: gzip, deflate and identity")
    assert problem.headers == {"Accept-Encoding": "gzip, deflate"}


def test_each_of_two_codings_stays_within_the_limit() -> None:
    """Between them is a gzip stream of many empty members, which are no content in the end."""
    inner = gzip.compress(b"") * 1_000_000
    _refused(zlib.compress(inner), "gzip, deflate", LIMIT, 413, "larger than")
