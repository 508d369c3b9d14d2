"""Large JSON bodies: rows are decoded in blocks with the same numbers; the rest has a limit."""

from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest

from service.model import FloatArray
from service.services.errors import Problem
from service.services.features import Features
from service.services.options import Options
from service.services.parsing import LARGE
from service.services.reading import Reader

FEATURES = Features(("a", "b", "c"))
X = np.random.default_rng(1).standard_normal((40_000, 3))
BODY = msgspec.json.encode({"points": X.tolist()})
CUT = BODY.index(b"],[", 1 << 20)
ROW = BODY.count(b"],[", 0, CUT)


def read(body: bytes, limit: int = 16 << 20) -> tuple[FloatArray, Options]:
    reader = Reader(FEATURES, 1024, 1_000_000, limit, 1 << 20)
    source, options = reader.json(io.BytesIO(body), [])
    return np.concatenate([chunk.X for chunk in source.chunks]), options


def refused(body: bytes, limit: int = 16 << 20) -> Problem:
    with pytest.raises(Problem) as caught:
        read(body, limit)
    return caught.value


@pytest.mark.parametrize("blank", [b"", b" ", b"\r\n\t", b" " * LARGE])
def test_the_numbers_are_the_same_wherever_blocks_end(blank: bytes) -> None:
    some = BODY[: CUT + 1] + blank + b"," + blank + BODY[CUT + 2 :]
    assert (read(some)[0] == X).all()


def test_options_may_stand_on_both_sides() -> None:
    found, options = read(b'{"noise":false,' + BODY[1:-1] + b',"interval":0.9}\n')
    assert (found == X).all()
    assert options == Options(noise=False, interval=0.9)


@pytest.mark.parametrize(
    ("inserted", "status", "path"),
    [
        (b",1],[", 422, f"$.points[{ROW}]"),
        (b"],[1e999,2,3],[", 422, f"$.points[{ROW + 1}][0]"),
        (b"],[1,null,3],[", 422, f"$.points[{ROW + 1}][1]"),
        (b'],[1,"2",3],[', 422, "$.points"),
        (b"],[1,NaN,3],[", 400, None),
        (b"]x,[", 400, None),
        (b"]]],[", 422, "$"),
    ],
)
def test_what_is_wrong_has_its_place(inserted: bytes, status: int, path: str | None) -> None:
    problem = refused(BODY[:CUT] + inserted + BODY[CUT + 3 :])
    assert (problem.status, problem.where.get("path")) == (status, path)


def test_the_byte_of_a_nan_is_that_of_the_body() -> None:
    body = BODY[:CUT] + b"],[1,NaN,3],[" + BODY[CUT + 3 :]
    assert f"(byte {body.index(b'NaN')})" in refused(body).detail


@pytest.mark.parametrize("end", [1, 2, 3, len(BODY) - CUT])
def test_a_truncated_body_is_refused(end: int) -> None:
    assert refused(BODY[:-end]).status == 400


def test_unknown_members_and_too_many_points_are_refused() -> None:
    assert refused(BODY[:-1] + b',"d":1}').where["unknown"] == ["d"]
    assert refused(b'{"points":[' + b"[0,0,0]," * 1_000_001 + b"[0,0,0]]}").status == 413


def test_other_shapes_have_a_lower_limit_and_are_told_so() -> None:
    one = b'{"a":1,"b":2,"c":3}'
    small = b"[" + b",".join([one] * 20_000) + b"]"
    assert LARGE < len(small) < 1 << 20
    assert read(small)[0].shape == (20_000, 3)
    problem = refused(b"[" + b",".join([one] * 60_000) + b"]")
    assert problem.status == 413
    assert '{"points": [[…], …]}' in problem.detail
    assert "CSV" in problem.detail
    assert refused(BODY, limit=1 << 20).where["limit"] == 1 << 20
