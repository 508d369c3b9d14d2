"""Categorical inputs: one number per input outside, one column per category inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from service.model import FloatArray


@dataclass(frozen=True, eq=False)
class Encoding:
    """How d inputs become D columns: a categorical one becomes as many as it has categories.

    Attributes
    ----------
    inputs : d
    categories : the categories of each categorical input, by its position. Its values are codes:
        0 for the first category, 1 for the second, …
    """

    inputs: int
    categories: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def columns(self) -> int:
        """D."""
        return sum(len(self.categories.get(i, ("",))) for i in range(self.inputs))

    def names(self, feature_names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the columns, as in ``sex=male``."""
        found: list[str] = []
        for i, name in enumerate(feature_names):
            words = self.categories.get(i)
            found += [f"{name}={word}" for word in words] if words else [name]
        return tuple(found)

    def expand(self, X: FloatArray) -> FloatArray:
        """Return the columns of X, shape (n, D); a column of a category holds zeros and ones."""
        if not self.categories:
            return X
        E = np.empty((len(X), self.columns))
        for i, first, count in self._places():
            if i in self.categories:
                E[:, first : first + count] = X[:, i, None] == np.arange(count)
                E[np.isnan(X[:, i]), first : first + count] = np.nan
            else:
                E[:, first] = X[:, i]
        return E

    def contract(self, D: FloatArray, axis: int) -> FloatArray:
        """Return derivatives by the inputs from those by the columns, which are along `axis`.

        A category has no derivative: it is 0.
        """
        if not self.categories:
            return D
        shape = list(D.shape)
        shape[axis] = self.inputs
        out = np.zeros(shape)
        for i, first, _ in self._places():
            if i not in self.categories:
                np.moveaxis(out, axis, 0)[i] = np.moveaxis(D, axis, 0)[first]
        return out

    def collapse(self, E: FloatArray) -> FloatArray:
        """Return the inputs, shape (n, d), of columns, shape (n, D); undoes `expand`."""
        X = np.empty((len(E), self.inputs))
        for i, first, count in self._places():
            columns = E[:, first : first + count]
            X[:, i] = np.argmax(columns, axis=1) if i in self.categories else columns[:, 0]
        return X

    def largest(self, values: FloatArray) -> FloatArray:
        """Return the largest value of each input's columns, shape (d,)."""
        return np.array([values[first : first + count].max() for _, first, count in self._places()])

    def _places(self) -> Iterator[tuple[int, int, int]]:
        """Yield each input, its first column and the number of its columns."""
        first = 0
        for i in range(self.inputs):
            count = len(self.categories.get(i, ("",)))
            yield i, first, count
            first += count
