"""Where a CSV table can be cut, in bytes, without looking at its numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from service.services.problems import too_large, unusable
from service.services.tables import Table

_BOM_BYTES = 3


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows that follow each other: bytes from `start` to before `stop`, after `lines` lines."""

    start: int
    stop: int
    lines: int
    rows: int


class CuttingTable(Table):
    """A table that knows how many of its bytes have been read."""

    _position = 0

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        if text.buffer.peek(_BOM_BYTES)[:_BOM_BYTES] == b"\xef\xbb\xbf":  # type: ignore[attr-defined]
            self._position = _BOM_BYTES
        for line in super()._lines(text):
            size = len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))
            self._position += size
            yield line

    def cuts(self, rows: int, limit: int) -> Iterator[Cut]:
        """Spans of `rows` rows, the last one shorter.

        Raises
        ------
        Problem
            413 beyond `limit` rows, 422 without any, 400 for what is no CSV.
        """
        start, lines = (0, 0) if self._held else (self._position, self._line)
        count = total = 0
        for _ in self._records():
            count += 1
            if count == rows:
                total += count
                _refuse_more(total, limit)
                yield Cut(start, self._position, lines, count)
                start, lines, count = self._position, self._line, 0
        if total + count == 0:
            raise unusable("the table has a header and no rows", line=self._line)
        if count:
            _refuse_more(total + count, limit)
            yield Cut(start, self._position, lines, count)


def _refuse_more(count: int, limit: int) -> None:
    if count > limit:
        raise too_large(f"more than {limit} rows: send the table in parts", limit=limit)
