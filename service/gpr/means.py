"""Mean functions: none, a constant, or a linear function of the inputs, known or estimated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from service.model import FloatArray

Basis = Literal["none", "constant", "linear"]

BASES: tuple[str, ...] = get_args(Basis)


UNDETERMINED = 1e-8
"""A direction of β that the data determine less well than the best by this factor is left at 0: its
variance would be made of rounding."""

SMALLEST_SPREAD = 1e-100
"""A column of h that varies less, in the model's units, counts as constant."""


def _empty() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Mean:
    """``m(x) = h(x)ᵀβ`` with ``h(x)`` empty, 1, or 1 and ``x - centre``.

    Attributes
    ----------
    coefficients : β, shape (q,) with q = 0, 1 or 1 + d, in the model's units
    estimated : whether β was estimated from the data, by generalised least squares. The variance
        then includes that of the estimate, as in universal kriging (Rasmussen & Williams, equations
        2.41 and 2.42). Otherwise β is known, as in GPy
    centre : shape (d,), or empty for 0
    """

    basis: Basis = "none"
    coefficients: FloatArray = field(default_factory=_empty)
    estimated: bool = False
    centre: FloatArray = field(default_factory=_empty)

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise ValueError(f"unknown mean {self.basis!r}; supported: {', '.join(BASES)}")
        if self.estimated and self.basis == "none":
            raise ValueError("there is no mean to estimate: choose constant or linear")

    def size(self, d: int) -> int:
        """Return q for d inputs."""
        return {"none": 0, "constant": 1, "linear": 1 + d}[self.basis]

    def design(self, X: FloatArray) -> FloatArray:
        """Return h of each row, shape (n, q)."""
        H = np.ones((len(X), self.size(X.shape[1])))
        if self.basis == "linear":
            H[:, 1:] = self._centred(X)
        return H

    def at(self, X: FloatArray) -> FloatArray:
        """Return m of each row, shape (n,), summed column by column: row by row the same."""
        total = np.zeros(len(X))
        if self.basis != "none":
            total += self.coefficients[0]
        if self.basis == "linear":
            for column, slope in zip(self._centred(X).T, self.coefficients[1:], strict=True):
                total += slope * column
        return total

    def slopes(self, d: int) -> FloatArray:
        """Return the derivatives of h by x, shape (q, d)."""
        slopes = np.zeros((self.size(d), d))
        if self.basis == "linear":
            slopes[1:] = np.eye(d)
        return slopes

    def hyperparameters(self) -> dict[str, Any]:
        """Return the numbers that describe it, ready for JSON."""
        found = {"basis": self.basis, "coefficients": self.coefficients.tolist()}
        return found | {"estimated": self.estimated}

    def _centred(self, X: FloatArray) -> FloatArray:
        return X - self.centre if self.centre.size else X


class Trend:
    """An estimated mean's part in the posterior of an exact GP.

    With ``A = C H`` of the training inputs' h, and ``A = Q S Wᵀ`` its singular value decomposition,
    β is ``Tᵀ Qᵀ C y`` with ``T = S⁻¹ Wᵀ``, and the estimate adds ``‖T h(x) - Qᵀ C k(x)‖²`` to the
    variance (Rasmussen & Williams, equations 2.41 and 2.42 with B⁻¹ = 0). Directions of β that the
    data do not determine, as with two columns that are equal, are left at 0.

    Attributes
    ----------
    Q : shape (N, r) with r ≤ q
    T : shape (r, q)
    """

    def __init__(self, H: FloatArray, C: FloatArray) -> None:
        A = C @ H
        norms = np.linalg.norm(A, axis=0)
        norms = np.where(norms > SMALLEST_SPREAD, norms, np.inf)
        Q, s, Wt = np.linalg.svd(A / norms, full_matrices=False)
        kept = s > s[0] * UNDETERMINED
        self.Q = np.ascontiguousarray(Q[:, kept])
        self.T = Wt[kept] / s[kept, None] / norms

    def coefficients(self, Cy: FloatArray) -> FloatArray:
        """Return β of generalised least squares, shape (q,)."""
        beta: FloatArray = self.T.T @ (self.Q.T @ Cy)
        return beta

    def rows(self, H: FloatArray, V: FloatArray, scale: float) -> FloatArray:
        """Return ``scale T h - Qᵀ v`` of each row, shape (n, r), each row on its own.

        Parameters
        ----------
        H : shape (n, q), the rows' h
        V : shape (n, N), their ``C k``, times `scale`
        """
        rows: FloatArray = scale * np.vecmat(H, self.T.T) - np.vecmat(V, self.Q)
        return rows
