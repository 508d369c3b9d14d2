"""The features of a model as requests give them: numbers, and words of the categorical ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from service.model import FloatArray, Model
from service.services.errors import unusable

SHOWN_WORDS = 10
_LONGEST = 40
_BOOLEANS = ("true", "false")  # R writes TRUE, Python True, and JSON true
_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0*")


def word_of(value: object) -> str | None:
    """Return a value as the word of a category; None for what is neither text nor a number.

    Tables write a whole number as 4 or as 4.0, depending on who saved them: it is one word.
    """
    if isinstance(value, str):
        text = value.strip()
        whole = _WHOLE.fullmatch(text)
        return whole[1] if whole else text
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(value) if isinstance(value, int | float) else None


class UnknownWord(ValueError):
    """A categorical feature has none of its words; the message lists them."""


class Features:
    """The d features of a model.

    Parameters
    ----------
    names : in the order of X's columns
    categories : the words of each categorical feature; the code of a word is its index

    Attributes
    ----------
    names : as given
    codes : the code of each word, by the name of the categorical feature
    words : the words of each categorical feature, by its column in X
    """

    def __init__(
        self, names: Sequence[str], categories: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.names = tuple(names)
        self.codes = {
            name: {word: float(code) for code, word in enumerate(words)}
            for name, words in (categories or {}).items()
        }
        self.words = {self.names.index(name): tuple(codes) for name, codes in self.codes.items()}

    def code(self, name: str, value: object) -> float:
        """Return the code of a word of a categorical feature; a number is a word, too.

        Raises `UnknownWord`: the feature has no such word.
        """
        codes = self.codes[name]
        word = word_of(value)
        code = codes.get(word) if word is not None else None
        if code is None and word is not None and word.lower() in _BOOLEANS:
            code = next((codes[known] for known in codes if known.lower() == word.lower()), None)
        if code is None:
            raise UnknownWord(f"{name} must be one of {listed(list(codes))}, not {_shown(value)}")
        return code

    def is_word(self, column: int, value: str) -> bool:
        """Whether a value is a word of the feature in this column of X."""
        return column in self.words and word_of(value) in self.codes[self.names[column]]

    def inputs(self, row: Sequence[float]) -> list[float | str]:
        """Return a point as its caller would send it: with words for codes."""
        given: list[float | str] = list(row)
        for column, words in self.words.items():
            given[column] = words[int(row[column])]
        return given

    def refuse_wrong_codes(self, X: FloatArray, start: int, of: str = "") -> None:
        """Raise a `Problem` 422 for the first point with a code that belongs to no word.

        Parameters
        ----------
        X : shape (n, d)
        start, of : as in `chunks.refuse_unusable`
        """
        for column, words in self.words.items():
            codes, last = X[:, column], len(words) - 1
            bad = np.flatnonzero((codes < 0) | (codes > last) | (codes != np.rint(codes)))
            if bad.size:
                row, name = start + int(bad[0]), self.names[column]
                raise unusable(
                    f"point {row}{of}: {name} must be the code of a word, a whole number from 0 "
                    f"({_shown(words[0])}) to {last} ({_shown(words[-1])}), "
                    f"not {codes[bad[0]]:g}",
                    row=row,
                    feature=name,
                )


@lru_cache(maxsize=1)  # a replaced model must not stay in memory
def features_of(model: Model) -> Features:
    """Return the features of a trained model."""
    return Features(model.description.feature_names, model.description.categories)


def listed(words: Sequence[str]) -> str:
    """Return words for a message, shortened where they are many or long."""
    shown = ", ".join(map(_shown, words[:SHOWN_WORDS]))
    more = len(words) - SHOWN_WORDS
    return f"{shown} and {more} more" if more > 0 else shown


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if value is None:
        return "null"
    text = (
        repr(value.encode("utf-8", "backslashreplace").decode())
        if isinstance(value, str)
        else (str(value))
    )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
