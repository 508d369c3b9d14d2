"""Bytes made of other bytes: what people send, with everything that can go wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

LONGEST = 16 << 10

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NUMBERS = (
    b"0", b"-0", b"-1", b"1", b"255", b"256", b"65536", b"2147483648", b"4294967296", b"-9223372036854775809",
    b"9007199254740993", b"18446744073709551616", b"1e308", b"-1e308", b"1e-320", b"1e400", b"1e22", b"0.1",
    b"NaN", b"nan", b"-inf", b"Infinity", b"1_0", b"0x10", b"1,5", b"1.500,25", b"+1", b".5", b"5.", b"1e", b"", b"9" * 400,
)  # fmt: skip
_BYTES = (
    b"\x00", b"\xff", b"\x80", b"\n", b"\r", b"\r\n", b"\n\n", b'"', b"'", b"\\", b",", b";", b"\t", b" ", b"%", b"&", b"=",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0c", b"\xe2\x88\x92", b"\xed\xa0\x80",
    b"\xf0\x9f\x92\xa9", b"\\u0000", b"\\ud800", b"%00", b"%ff", b"%2e%2e%2f", b"{", b"}", b"[", b"]", b":", b"null",
    b"\x1f\x8b", b"PK\x03\x04",
)  # fmt: skip


class Mutator:
    """Makes inputs of a corpus, which grows by those that reached something new.

    Parameters
    ----------
    seeds : valid inputs
    words : what the format is made of
    random : decides everything, so that the same seed makes the same inputs
    """

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], random: Random) -> None:
        self._seeds = len(seeds)
        self._corpus = list(seeds)
        self._words = words
        self._random = random
        self._ways: list[Callable[[bytearray], None]] = [
            self._flip_bit,
            self._replace_byte,
            self._insert,
            self._insert,
            self._replace_number,
            self._replace_number,
            self._delete,
            self._move,
            self._repeat,
            self._splice,
            self._truncate,
        ]

    def keep(self, data: bytes, most: int = 500) -> None:
        """Add an input that reached something new; the seeds stay."""
        if len(self._corpus) < self._seeds + most:
            self._corpus.append(data)
        else:
            self._corpus[self._random.randrange(self._seeds, len(self._corpus))] = data

    def mutated(self, data: bytes = b"") -> bytes:
        """Return a changed copy of `data`, or of an input of the corpus."""
        random = self._random
        made = bytearray(data or random.choice(self._corpus))
        for _ in range(min(int(random.expovariate(0.5)) + 1, 12)):
            random.choice(self._ways)(made)
        return bytes(made[:LONGEST])

    def _at(self, data: bytearray) -> int:
        return self._random.randrange(len(data) + 1)

    def _range(self, data: bytearray) -> tuple[int, int]:
        start = self._at(data)
        return start, min(len(data), start + 1 + int(self._random.expovariate(0.15)))

    def _flip_bit(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _replace_byte(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.randrange(256)

    def _insert(self, data: bytearray) -> None:
        at, random = self._at(data), self._random
        words = self._words if self._words and random.random() < 0.6 else _BYTES
        data[at:at] = random.choice(words)

    def _replace_number(self, data: bytearray) -> None:
        found = list(_NUMBER.finditer(data, 0, 2000))
        if found:
            start, stop = self._random.choice(found).span()
            data[start:stop] = self._random.choice(_NUMBERS)

    def _delete(self, data: bytearray) -> None:
        start, stop = self._range(data)
        del data[start:stop]

    def _move(self, data: bytearray) -> None:
        start, stop = self._range(data)
        piece = data[start:stop]
        del data[start:stop]
        at = self._at(data)
        data[at:at] = piece

    def _repeat(self, data: bytearray) -> None:
        start, stop = self._range(data)
        most = 2000 if self._random.random() < 0.05 else 4
        data[start:start] = data[start:stop] * self._random.randrange(1, most)
        del data[4 * LONGEST :]

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._corpus)
        at, start = self._at(data), self._random.randrange(len(other) + 1)
        data[at:] = other[start:]

    def _truncate(self, data: bytearray) -> None:
        del data[self._at(data) :]
