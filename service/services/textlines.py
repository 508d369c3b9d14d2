"""A table's lines of text, and what is no text."""

from __future__ import annotations

import io
from collections.abc import Iterator

from service.services.body import GZIP_MAGIC
from service.services.problems import malformed

LONGEST_LINE = 1 << 20
ZIP_MAGIC = b"PK\x03\x04"


def refuse_what_is_no_text(body: io.BufferedReader[io.RawIOBase]) -> None:
    """400 for a body that begins as other kinds of files do."""
    start = body.peek(4)[:4]
    if start[:2] == GZIP_MAGIC:
        raise malformed("the table looks gzipped: send 'Content-Encoding: gzip' with it", line=1)
    if start == ZIP_MAGIC:
        raise malformed("this is a zip or xlsx file, not CSV: save the table as CSV", line=1)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in start:
        raise malformed("the table is not UTF-8 but looks like UTF-16: save it as UTF-8", line=1)


def bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines; 400 for one that would fill memory."""
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise malformed(f"a line is longer than {LONGEST_LINE} characters")
        yield line
