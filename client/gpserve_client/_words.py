"""Words of categorical features: arrays hold the code of a word, which is its index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpserve_client.answers import FloatArray

Categories = Mapping[str, Sequence[str]]
"""The words of each categorical feature."""

_SHOWN = 10
_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0*")


def codes_of(values: Any, name: str, words: Sequence[str]) -> FloatArray:
    """Convert words, or numbers that are words, to codes in an array of the same shape.

    Raises
    ------
    ValueError
        A value is none of the words; the message lists them.
    """
    objects = np.asarray(values, dtype=object)
    known = {word: float(code) for code, word in enumerate(words)}
    booleans = {w.lower(): code for w, code in known.items() if w.lower() in ("true", "false")}
    given = map(_word_of, objects.ravel().tolist())
    codes = [known.get(word, booleans.get(word.lower())) for word in given]
    if None in codes:
        wrong = objects.ravel()[codes.index(None)]
        raise ValueError(f"{name} must be one of {_listed(words)}, not {wrong!r}")
    return np.array(codes, dtype=np.float64).reshape(objects.shape)


def refuse_wrong_codes(X: FloatArray, names: Sequence[str], categories: Categories) -> None:
    """Raise a `ValueError` if points of shape (..., d) have a code that belongs to no word."""
    for name, words in categories.items():
        codes = X[..., names.index(name)]
        wrong = codes[~np.isin(codes, np.arange(len(words)))]
        if wrong.size:
            raise ValueError(
                f"{name} must be a word, or in an array of numbers its code, from 0 ({words[0]!r}) "
                f"to {len(words) - 1} ({words[-1]!r}), not {wrong.flat[0]:g}"
            )


def _word_of(value: Any) -> str:
    """Return a value as a word; 4 and 4.0 are the same one."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(map(repr, words[:_SHOWN]))
    more = len(words) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
