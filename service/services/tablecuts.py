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
        """The rows as `spans` cuts them.

        Raises
        ------
        Problem
            413 beyond `limit` rows, 422 without any, 400 for what is no CSV.
        """
        start, lines = (0, 0) if self._held else (self._position, self._line)
        count = total = 0
        middle: tuple[int, int] | None = None
        for _ in self._records():
            count += 1
            total += 1
            if total > limit:
                raise too_large(f"more than {limit} rows: send the table in parts", limit=limit)
            if count == rows:
                middle = self._position, self._line
            elif count == 2 * rows:
                assert middle is not None
                yield Cut(start, middle[0], lines, rows)
                (start, lines), count = middle, rows
                middle = self._position, self._line
        if not total:
            raise unusable("the table has a header and no rows", line=self._line)
        yield Cut(start, self._position, lines, count)
