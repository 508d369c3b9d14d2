"""From a Flask request to points: the media type decides which reader reads the body."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO, cast
from urllib.parse import parse_qsl, unquote_plus

from flask import Request

from service.model import Model
from service.services import negotiation
from service.services.body import content_codings, decompressed, open_body, refuse_larger
from service.services.chunks import CHUNK_TILES, Source
from service.services.csvrecords import looks_like_json
from service.services.errors import Problem, too_large, unusable
from service.services.features import features_of
from service.services.options import Options
from service.services.parsing import parsing
from service.services.reading import SUPPORTED, Fields, Reader, only_file
from service.settings import Settings

CSV_TYPES = ("text/csv", "application/csv", "text/plain", "application/vnd.ms-excel")
_PIECE = 1 << 16
_FORM = "application/x-www-form-urlencoded"


def read(
    request: Request, model: Model, settings: Settings, counted: bool
) -> tuple[Source, Options]:
    """Read the points and options of a request; `counted` asks for the number of a table's rows.

    Raises `Problem`: 400, 413, 415 or 422, with what is wrong and where.
    """
    reader = Reader(
        features_of(model),
        CHUNK_TILES * model.large_tile,
        settings.max_points,
        settings.max_json_bytes,
        settings.max_parsed_bytes,
    )
    return read_with(reader, request, settings, counted)


def read_with(
    reader: Reader, request: Request, settings: Settings, counted: bool
) -> tuple[Source, Options]:
    """Do the same with a given reader, which may handle tables and arrays differently."""
    query: Fields = list(request.args.items(multi=True))
    if request.method in ("GET", "HEAD"):
        return reader.fields(query)
    refuse_larger(request.content_length, settings.max_body_bytes)
    kind = request.mimetype
    if kind in ("multipart/form-data", _FORM):
        if content_codings(_encoding(request)):
            raise Problem(415, "a compressed form is unsupported: gzip the file in it instead")
        if kind == _FORM:
            return _read_form(request, reader, query)
        return _read_multipart(request, reader, query, counted, settings.max_body_bytes)
    body = opened(request, settings.max_body_bytes)
    if kind in ("application/json", ""):
        return reader.json(body, query, request.content_length)
    if kind in CSV_TYPES:
        refuse_other_charset(request)
        options = reader.options(query)
        return reader.table(body, options, counted=counted), options
    if kind == negotiation.NPY:
        return reader.array(body), reader.options(query)
    if kind == "application/octet-stream":
        return reader.file(body, query, counted=counted)
    raise Problem(415, f"unsupported Content-Type {kind[:80]!r}; supported: {SUPPORTED}")


def opened(request: Request, limit: int) -> BinaryIO:
    """Return the body as a stream of at most `limit` bytes, after decompression.

    Raises `Problem`: 415 for an unsupported encoding; 400 and 413 while reading.
    """
    encoding, stream = _encoding(request), cast(BinaryIO, request.stream)
    if not encoding and 0 < (request.content_length or 0) <= min(limit, _PIECE):
        return cast(BinaryIO, io.BufferedReader(io.BytesIO(stream.read())))
    return open_body(stream, encoding, limit)


def _encoding(request: Request) -> str:
    return request.headers.get("Content-Encoding", "")


def _read_form(request: Request, reader: Reader, query: Fields) -> tuple[Source, Options]:
    limit = reader.max_parsed_bytes
    text = request.stream.read(limit + 1)
    _discard(request, reader.max_json_bytes - len(text))
    is_json = text.lstrip()[:1] in (b"{", b"[")  # curl -d labels anything as a form, also JSON
    if is_json and len(text) <= limit:
        return reader.json(io.BytesIO(text), query)
    if _looks_like_table(text, reader.features.names):
        how = "--data-binary and -H 'Content-Type: text/csv'"  # -d removes line breaks
        raise unusable(f"the body looks like a table: send it with {how}")
    if len(text) > limit:
        detail = (
            f"the form is larger than {limit} bytes: send JSON, CSV or .npy, with its Content-Type"
        )
        raise too_large(detail, limit=limit)
    with parsing(len(text)):
        return reader.fields(query + _pairs(text))


def _discard(request: Request, most: int) -> None:
    """Read what is left of a body: gunicorn's own workers drop a connection with an unread one."""
    while most > 0 and (piece := request.stream.read(min(most, _PIECE))):
        most -= len(piece)


def _pairs(text: bytes) -> Fields:
    return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)


def _looks_like_table(form: bytes, names: Sequence[str]) -> bool:
    key = form.partition(b"=")[0]
    return (
        b"&" not in form
        and (b"\n" in key or b"," in key)
        and unquote_plus(key.decode("utf-8", "replace")) not in names
    )


def _read_multipart(
    request: Request, reader: Reader, query: Fields, counted: bool, limit: int
) -> tuple[Source, Options]:
    fields: Fields = query + list(request.form.items(multi=True))
    if fields and not request.files:
        with parsing(sum(len(value) for _, value in fields)):
            return reader.fields(fields)
    only_file(request.files)
    upload = request.files["file"]
    body = decompressed(cast(BinaryIO, upload.stream), limit)
    name = (upload.filename or "").lower().removesuffix(".gz")
    is_json = upload.mimetype == "application/json" or name.endswith(".json")
    if is_json or looks_like_json(cast(io.BufferedReader, body)):
        return reader.json(body, fields)
    return reader.file(body, fields, counted=counted)


def refuse_other_charset(request: Request) -> None:
    """Raise a `Problem` 415 for a table that is said to be in anything but UTF-8."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise Problem(415, f"unsupported charset {charset[:40]!r}; supported: utf-8")
