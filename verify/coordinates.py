"""Inputs and outputs as people have them: dates, map coordinates, repeated rows, tiny numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import GPy
import numpy as np

from service.gpr import GPR, kernels
from service.model import FloatArray
from tests.gpr import exactkernels as exact
from tests.gpr import gpytruth, truth
from verify.report import Section

LIMIT = 1e-9
Data = tuple[FloatArray, FloatArray]
"""Inputs, shape (n, d), and outputs, shape (n,)."""


def _rng() -> np.random.Generator:
    return np.random.default_rng(18)


def _smooth(U: FloatArray) -> FloatArray:
    noise = 0.05 * _rng().standard_normal(len(U))
    value: FloatArray = np.sin(3 * U[:, 0]) + U[:, -1] ** 2 + noise
    return value


def _decimal_years() -> Data:
    """Monthly values of ten years, as 2015.0833."""
    months = np.arange(120) / 12
    return (2015 + months)[:, None], np.sin(2 * np.pi * months) + 0.1 * months


def _unix_time() -> Data:
    """Seconds since 1970, every three hours for ten days."""
    hours = np.arange(0.0, 240.0, 3.0)
    return 1.7e9 + 3600 * hours[:, None], np.sin(2 * np.pi * hours / 24) + 0.01 * hours


def _utm() -> Data:
    """Easting and northing in metres, in a square of 20 km."""
    U = _rng().random((80, 2))
    return np.array([4.5e5, 5.4e6]) + 2e4 * U, _smooth(U)


def _repeated() -> Data:
    U = _rng().random((30, 2))
    return np.tile(U, (3, 1)), np.tile(_smooth(U), 3)


def _narrow() -> Data:
    U = _rng().random((60, 2))
    return 1e6 + 1e-3 * U, _smooth(U)


def _constant_column() -> Data:
    U = _rng().random((60, 2))
    third = np.where(np.arange(60) % 2, 0.3, 0.1 + 0.2)
    return np.column_stack([U, third]), _smooth(U)


def _tiny_outputs() -> Data:
    U = _rng().random((60, 2))
    return U, 1e-9 * _smooth(U)


CASES: dict[str, tuple[Callable[[], Data], list[float], float]] = {
    "decimal years": (_decimal_years, [0.4], 1.0),
    "Unix time": (_unix_time, [4 * 3600.0], 1.0),
    "UTM metres": (_utm, [8e3, 9e3], 1.0),
    "every row three times": (_repeated, [0.4, 0.5], 1.0),
    "1e6 + 1e-3 u": (_narrow, [4e-4, 5e-4], 1.0),
    "1e6 + 1e-3 u, lengthscale 1": (_narrow, [1.0, 1.0], 1.0),
    "a column of 0.3 and 0.1 + 0.2": (_constant_column, [0.4, 0.5, 1.0], 1.0),
    "outputs of 1e-9, no normalizer": (_tiny_outputs, [0.4, 0.5], 1e-18),
}
"""The data, the kernel's lengthscales, and the size of the output's variance."""

NOISE = 1e-4


@dataclass(frozen=True)
class Case:
    """A model of stated hyperparameters, its truth, and GPy's model where GPy can make it."""

    name: str
    X: FloatArray
    y: FloatArray
    prior: float
    truth: truth.Posterior
    gpy: Any
    publish: Callable[[], Any]
    """Returns the `GPR`."""


def cases() -> Iterator[Case]:
    """Yield every case with two kernels."""
    for name, (make, lengthscale, size) in CASES.items():
        for kernel in ("RBF", "Matern52"):
            yield _case(f"{name}, {kernel}", make(), kernel, lengthscale, size)


def _case(name: str, data: Data, kernel: str, lengthscale: list[float], size: float) -> Case:
    X, y = data
    d, prior, noise = X.shape[1], 1.5 * size, NOISE * size
    k = getattr(exact, kernel)(prior, lengthscale, list(range(d)))
    found = truth.Exact(k, X, y, noise, jitter=gpytruth.JITTER)
    try:
        theirs = getattr(GPy.kern, kernel)(d, prior, lengthscale, ARD=True)
        m = GPy.models.GPRegression(X, y[:, None], theirs, noise_var=noise)
    except np.linalg.LinAlgError:  # its distances are too inexact for a factorisation
        ours = getattr(kernels, kernel)(d, prior, lengthscale)

        def publish() -> GPR:
            return GPR.from_parts(X, y, kernel=ours, noise_variance=noise, jitter=gpytruth.JITTER)

        return Case(name, X, y, prior, found, None, publish)
    names = [f"x{i + 1}" for i in range(d)]
    return Case(name, X, y, prior, found, m, lambda: GPR.from_gpy(m, names))


def check(case: Case, model: Any, section: Section) -> None:
    """Add a row: errors of the service and of GPy at 20 points among the data."""
    X, y = case.X, case.y
    Q = _rng().uniform(X.min(axis=0), X.max(axis=0), (20, X.shape[1]))
    wanted = case.truth.answers(Q)
    units = np.array([y.std(), case.prior])
    ours = np.abs(model.predict(Q, noise=False) - wanted).max(axis=0) / units
    theirs = ["cannot", "cannot"]
    if case.gpy is not None:
        found = np.hstack(case.gpy.predict(Q, include_likelihood=False))
        theirs = [f"{value:.1e}" for value in np.abs(found - wanted).max(axis=0) / units]
    cells = [section.check(f"{case.name}: mean", ours[0], LIMIT), theirs[0]]
    cells += [section.check(f"{case.name}: variance", ours[1], LIMIT), theirs[1]]
    section.rows.append([case.name, *cells])


def sections() -> list[Section]:
    """Return the section of coordinates."""
    section = Section(
        "Dates, coordinates, repeated rows",
        "Exact models with stated hyperparameters, published with `GPR.from_gpy`, or with "
        "`GPR.from_parts` where GPy cannot factor its own kernel matrix. Errors of the mean are "
        "divided by the output's deviation, those of the variance by the prior's variance; the "
        f"limit is {LIMIT:.0e}.",
        ["data, kernel", "mean", "GPy's mean", "variance", "GPy's variance"],
    )
    for case in cases():
        try:
            model = case.publish()
        except ValueError as error:
            section.rows.append([case.name, "refused", "", "", ""])
            section.failures.append(f"{case.name} is refused: {error}")
            continue
        check(case, model, section)
    return [section]
