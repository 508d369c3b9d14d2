"""Multipart forms: one file, and fields that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    State,
)

from service.services.errors import Problem, malformed, too_large

MOST_PARTS = 1000
_PIECE = 1 << 16


class FormParser(FormDataParser):
    """Werkzeug's parser with bounds for what it does not bound.

    Its own loop over the events of `MultipartDecoder` keeps 1000 fields of any size, half a
    megabyte of each of 1000 files, and parses the header of a part whatever its length.

    Attributes
    ----------
    max_header_bytes : of the header of a part
    max_form_memory_size : of all fields together
    """

    max_header_bytes = 32 << 10
    max_form_memory_size: int

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> Any:
        """Return the stream, the fields and the files of a body.

        Raises `Problem`: 400 for anything that is not a multipart form or has several files, 413
        beyond a limit.
        """
        if mimetype != "multipart/form-data":
            return super().parse(stream, mimetype, content_length, options)
        form = _Form(self, content_length)
        try:
            self._read(form, stream, options)
        except Problem:
            self._discard(stream)
            raise
        return stream, form.fields, form.files

    def _read(self, form: _Form, stream: IO[bytes], options: dict[str, str] | None) -> None:
        try:
            boundary = (options or {}).get("boundary", "").encode("ascii")
            if not boundary:
                raise ValueError("its Content-Type has no boundary")
            for event in self._events(stream, boundary):
                form.take(event)
        except RequestEntityTooLarge:
            detail = f"the form has more than {MOST_PARTS} parts"
            raise too_large(detail, limit=MOST_PARTS) from None
        except ValueError as error:
            raise malformed(f"the form cannot be read: {error}") from None

    def _discard(self, stream: IO[bytes]) -> None:
        """Read what is left, if it is little: gunicorn's own workers drop an unread connection."""
        most = self.max_form_memory_size
        while most > 0 and (piece := stream.read(_PIECE)):
            most -= len(piece)

    def _events(self, stream: IO[bytes], boundary: bytes) -> Iterator[Event]:
        decoder = MultipartDecoder(boundary, max_parts=MOST_PARTS)
        event: Event | None = None
        while not isinstance(event, Epilogue):
            decoder.receive_data(stream.read(_PIECE) or None)
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                if isinstance(event, Field | File):
                    self._check_header(sum(len(k) + len(v) for k, v in event.headers))
                yield event
            if decoder.state in (State.PREAMBLE, State.PART):
                self._check_header(len(decoder.buffer))

    def _check_header(self, size: int) -> None:
        """Raise a `Problem` 413 for a header of a part, or for what precedes the first part."""
        limit = self.max_header_bytes
        if size > limit:
            raise too_large(f"the header of a part is larger than {limit} bytes", limit=limit)


class _Form:
    """The fields and the file that have been read so far."""

    def __init__(self, parser: FormParser, content_length: int | None) -> None:
        self._parser = parser
        self._content_length = content_length
        self._part: Field | File | None = None
        self._text = bytearray()
        self._size = 0
        self._file: IO[bytes] | None = None
        self.fields: MultiDict[str, str] = MultiDict()
        self.files: MultiDict[str, FileStorage] = MultiDict()

    def take(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, Field | File):
            self._begin(event)
        elif isinstance(event, Data):
            self._add(event.data)
            if not event.more_data:
                self._end()

    def _begin(self, part: Field | File) -> None:
        self._part = part
        if isinstance(part, Field):
            self._text = bytearray()
            return
        if self.files:
            shown = ", ".join(sorted([*self.files, part.name or ""]))[:200]
            raise malformed(f"the form has several files ({shown}): send one file per request")
        self._file = self._parser.stream_factory(
            total_content_length=self._content_length,
            filename=part.filename,
            content_type=part.headers.get("content-type"),
            content_length=None,
        )

    def _add(self, data: bytes) -> None:
        if isinstance(self._part, File):
            assert self._file is not None
            self._file.write(data)
            return
        limit = self._parser.max_form_memory_size
        self._size += len(data)
        if self._size > limit:
            detail = f"the fields of the form have more than {limit} bytes: send a file"
            raise too_large(detail, limit=limit)
        self._text += data

    def _end(self) -> None:
        part = self._part
        if isinstance(part, File):
            assert self._file is not None
            self._file.seek(0)
            name = part.name or ""
            stored = FileStorage(self._file, part.filename, name, headers=part.headers)
            self.files.add(name, stored)
        elif part is not None:
            self.fields.add(part.name or "", self._text.decode("utf-8", "replace"))
