"""Which values are words of a category, and which words people may write in another way."""

from __future__ import annotations

import numpy as np
import pytest

from service.services.errors import Problem
from service.services.features import Features, UnknownWord, listed, word_of

FEATURES = Features(
    ("year", "fresh", "size"), {"fresh": ("FALSE", "TRUE"), "size": ("2", "10", "2.5", "01")}
)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (4, "4"), (4.0, "4"), ("4.0", "4"), (" 4. ", "4"), (-4.0, "-4"), (2.5, "2.5"),
        ("2.50", "2.50"), ("01", "01"), ("01.0", "01.0"), (" two words ", "two words"),
        (True, "true"), (1e300, str(int(1e300))), (None, None), ([], None),
    ],
)  # fmt: skip
def test_words_of_values(value: object, word: str | None) -> None:
    assert word_of(value) == word


@pytest.mark.parametrize("value", [True, "True", "TRUE", "true"])
def test_booleans_are_written_in_many_ways(value: object) -> None:
    assert FEATURES.code("fresh", value) == 1


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("fresh", 1, "'FALSE', 'TRUE', not 1"),
        ("fresh", "truer", "not 'truer'"),
        ("size", True, "not True"),
        ("size", "2.50", "'2', '10', '2.5', '01', not '2.50'"),
        ("size", None, "not null"),
        ("size", {}, "not an object"),
        ("size", "x" * 100, f"not '{'x' * 39}…"),
    ],
)
def test_an_unknown_word_is_told_with_the_words(name: str, value: object, shown: str) -> None:
    with pytest.raises(UnknownWord, match="must be one of") as unknown:
        FEATURES.code(name, value)
    assert str(unknown.value).endswith(shown)


def test_many_words_are_shortened() -> None:
    assert listed([str(i) for i in range(13)]).endswith("'8', '9' and 3 more")


def test_codes_are_checked_and_shown_as_words() -> None:
    X = np.array([[2000.5, 0, 3], [-1, 1, 0]])
    FEATURES.refuse_wrong_codes(X, 0)
    assert [FEATURES.inputs(row) for row in X.tolist()] == [
        [2000.5, "FALSE", "01"], [-1, "TRUE", "2"],
    ]  # fmt: skip
    for wrong in (-1, 4, 0.5):
        X[1, 2] = wrong
        with pytest.raises(Problem, match=f"point 8 of the array: size .* not {wrong:g}") as no:
            FEATURES.refuse_wrong_codes(X, 7, " of the array")
        assert no.value.where == {"row": 8, "feature": "size"}
