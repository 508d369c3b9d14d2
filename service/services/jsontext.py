"""What is wrong with text that is not JSON: the same words and positions in every protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from service.services.errors import Problem, malformed, unusable

_anything = msgspec.json.Decoder()
_skipping = msgspec.json.Decoder(msgspec.Raw)
_AT_BYTE = re.compile(r" \(byte (\d+)\)")
_MALFORMED = "JSON is malformed: "
_OUT_OF_RANGE = re.compile(r"(Number|Integer value) out of range")
_BLANKS = b" \t\r\n"

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xef\xbb\xbf", "it begins with a byte order mark: send UTF-8 without one"),
    (b"\xff\xfe", "it is UTF-16: send UTF-8"),
    (b"\xfe\xff", "it is UTF-16: send UTF-8"),
    (b"\x1f\x8b", "it looks gzipped: send 'Content-Encoding: gzip' with it"),
    (b"PK\x03\x04", "it is a zip file, as .npz and .xlsx are"),
    (b"\x93NUMPY", "it is a .npy file: send 'Content-Type: application/x-npy' with it"),
)
"""What bodies begin with that are no JSON at all."""

_HINTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"(?i)-?(nan|inf)"), "NaN and Infinity are not valid JSON"),
    (re.compile(rb"True|False|None"), "JSON writes true, false and null"),
    (re.compile(rb"'"), 'JSON has double quotes, as in "name"'),
)
"""What other languages write where JSON has something else."""


def parse(body: bytes) -> Any:
    """Return the content of a JSON body.

    Raises `Problem`: 400 when the body is not JSON, 422 for a number that float64 cannot hold.
    """
    try:
        return _anything.decode(body)
    except msgspec.ValidationError as error:
        refuse_malformed(body)
        raise unusable(f"the JSON body has {reason(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _problem(body, error) from None


def refuse_malformed(body: bytes, missing: int = 0, cut: int = 0) -> None:
    """Raise a `Problem` 400 if a body is not JSON.

    For the bodies that a decoder of something more special has refused: it stops at the first
    wrong value, which says nothing about the text.

    Parameters
    ----------
    body : all of it, or a part that is JSON by itself
    missing, cut : how many bytes of the whole body are missing at byte `cut` of the part
    """
    if (error := _fault(body)) is None:
        return
    try:
        _anything.decode(body)  # its words are those of `parse`
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as other:
        error = other
    raise _problem(body, error, missing, cut)


def _fault(body: bytes) -> Exception | None:
    """Return what is wrong with a body; no objects are made of it, which take much memory."""
    try:
        _skipping.decode(body)
        if not body.isascii():
            body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return error
    return None


def reason(error: Exception) -> str:
    """Return in words what a decoder says of JSON that has the wrong content."""
    return _OUT_OF_RANGE.sub("a number outside the range of float64", str(error))


def _problem(body: bytes, error: Exception, missing: int = 0, cut: int = 0) -> Problem:
    if isinstance(error, RecursionError):
        return malformed("the JSON body is nested too deeply")
    if not missing:
        for magic, hint in _STARTS:
            if body.startswith(magic):
                return malformed(f"the body is not JSON: {hint}")
        if not body.strip(_BLANKS):
            return malformed("the body is not JSON: it is empty")
    detail, at = _detail(body, error)
    if at is None:
        return malformed(f"the body is not JSON: {detail}")
    hint = next((f"; {hint}" for found, hint in _HINTS if found.match(body, at)), "")
    place = at + missing if at >= cut else at
    return malformed(f"the body is not JSON: {detail} (byte {place}){hint}")


def _detail(body: bytes, error: Exception) -> tuple[str, int | None]:
    """Return what is wrong, and at which byte of the body."""
    if isinstance(error, UnicodeDecodeError):  # its position is that in the string
        return "it is not UTF-8", _first_error(body.decode)
    text = str(error).removeprefix(_MALFORMED)
    if (found := _AT_BYTE.search(text)) is None:
        return ("it ends too early" if "truncated" in text else text), None
    at = int(found[1])
    if body[max(at - 4, 0) : at].startswith(b"nan"):  # the decoder has read four bytes for null
        at -= 4
    return _AT_BYTE.sub("", text), at


def _first_error(decode: Callable[[], object]) -> int | None:
    try:
        decode()
    except UnicodeDecodeError as error:
        return error.start
    return None
