"""The hyperparameters of a GPy model: bounds, priors, starts that explore, and the optimiser.

The inputs and the output are standardised, so that one set of bounds and priors fits all data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.gpr.trainingdata import option
from service.model import FloatArray

SEED = 0
"""For the starts beyond the first ones: the same data give the same model."""

GPY_JITTER = 1e-8
"""What GPy adds to the diagonal, as a share of the output's variance."""

MAX_CONDITION = 1e13
"""Larger condition numbers of the kernel matrix are made unlikely: float64 has 16 digits."""

EXACT_ITERATIONS = 500

SPARSE_ITERATIONS = 200
"""Each iteration moves all inducing inputs; the bound gains little after this many."""

FINE, ROUGH = 1e-8, 1e-6
"""Relative tolerances of the objective."""

LEAST_NOISES = (GPY_JITTER, 1e-6, 1e-4)
"""Noise variances that are tried where less does not allow more rows than were explored."""

FAILED = 1e10
"""The objective where the kernel matrix cannot be factored."""


@dataclass(frozen=True)
class Range:
    """Bounds of a hyperparameter, and its log-normal prior.

    Attributes
    ----------
    low, high : bounds
    median : of the prior
    spread : standard deviation of the prior's logarithm
    """

    low: float
    high: float
    median: float
    spread: float


RANGES = {
    "lengthscale": Range(1e-2, 1e3, 10, 1.4),
    "variance": Range(1e-4, 1e4, 1, 1.5),
    "variances": Range(1e-6, 1e4, 0.3, 2),
    "power": Range(0.1, 20, 1, 1),
    "period": Range(2e-2, 1e2, 2, 1.5),
}
"""By the parameter's name in GPy."""

NOISE = Range(1e-10, 1e2, 0.135, 2)
"""That of the likelihood and of White; GPy adds `GPY_JITTER`."""

SPARSE_NOISE = Range(GPY_JITTER, 1e2, 0.135, 2)
"""A sparse GP in GPy takes less noise for so much."""

FIRST_STARTS = ((1.0, 0.1), (0.1, 1e-3), (3.0, 1e-3), (0.3, 0.3), (10.0, 0.1), (1.0, 1e-5))
"""Factors of the lengthscales' start, and noise variances."""

PERIODS = 48
"""Periods that are tried for each start: the likelihood has many maxima along the period."""


def _ranges(m: Any) -> Iterator[tuple[NDArray[np.int64], Range | None]]:
    """Yield the places of each parameter that is not fixed, and None for one of any sign."""
    for parameter in m.flattened_parameters:
        places = np.atleast_1d(np.asarray(m._raveled_index_for(parameter)))
        places = places[_is_free(m)[places]]
        owner = type(parameter._parent_).__name__
        if owner in ("Gaussian", "White"):
            yield places, SPARSE_NOISE if hasattr(m, "Z") else NOISE
        elif (known := RANGES.get(parameter.name)) is None:
            yield places, None
        elif parameter.name == "lengthscale":
            # The distance of two points grows as the root of the dimension (Hvarfner et al. 2024).
            d = len(parameter._parent_._all_dims_active)
            usual = (1.0 if owner == "StdPeriodic" else known.median) * math.sqrt(d)
            yield places, Range(known.low, known.high, usual, known.spread)
        else:
            yield places, known


def _is_free(m: Any) -> NDArray[np.bool_]:
    free = np.ones(len(m.param_array), dtype=bool)
    free[m.constraints["fixed"]] = False
    return free


class Objective:
    """The negative log posterior density of a GPy model's free parameters, and its gradient.

    It is a function of z, shape (k,): logarithms of positive parameters, others as they are.
    """

    def __init__(self, m: Any) -> None:
        self.m = m
        size = len(m.param_array)
        self.bounds = np.tile([-np.inf, np.inf], (size, 1))
        self.median = np.zeros(size)
        self.precision = np.zeros(size)
        positive, used = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        for places, known in _ranges(m):
            used[places] = True
            if known is not None:
                positive[places] = True
                self.bounds[places] = np.log([known.low, known.high])
                self.median[places] = math.log(known.median)
                self.precision[places] = known.spread**-2
        self.places = np.flatnonzero(used)
        self.positive = positive[self.places]
        self.bounds = self.bounds[self.places]
        self.median, self.precision = self.median[self.places], self.precision[self.places]

    @property
    def z(self) -> FloatArray:
        """The free parameters of the model as it is, within their bounds."""
        theta = np.array(self.m.param_array[self.places])
        theta[self.positive] = np.log(theta[self.positive])
        low, high = self.bounds.T
        clipped: FloatArray = np.clip(theta, low, high)
        return clipped

    def named(self, name: str) -> Iterator[NDArray[np.int64]]:
        """Yield the positions in z of each parameter of this name."""
        for parameter in self.m.flattened_parameters:
            if parameter.name == name:
                raveled = np.atleast_1d(np.asarray(self.m._raveled_index_for(parameter)))
                yield np.flatnonzero(np.isin(self.places, raveled))

    def set(self, z: FloatArray) -> None:
        """Give the model these parameters."""
        theta = np.array(z)
        theta[self.positive] = np.exp(theta[self.positive])
        self.m.param_array[self.places] = theta
        self.m._optimizer_copy_transformed = False
        self.m.trigger_update()

    def __call__(self, z: FloatArray) -> tuple[float, FloatArray]:
        """Return value and gradient, or a large number and zeros where K is singular."""
        try:
            self.set(z)
            value = -float(np.sum(self.m.log_likelihood()))
        except (np.linalg.LinAlgError, ArithmeticError, ValueError):
            return FAILED, np.zeros_like(z)
        gradient = -np.array(self.m.gradient[self.places])
        gradient[self.positive] *= np.exp(z[self.positive])
        off = z - self.median
        value += 0.5 * float(self.precision @ off**2)
        gradient += self.precision * off
        excess, slope = self._ill_condition()
        value, gradient = value + excess, gradient + slope
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return FAILED, np.zeros_like(z)
        return value, gradient

    def _ill_condition(self) -> tuple[float, FloatArray]:
        """Return a penalty for an ill-conditioned K, with its gradient by z.

        The condition number is at most the trace of K over the noise variance.
        """
        m, slope = self.m, np.zeros(len(self.places))
        X = np.array(m.Z if hasattr(m, "Z") else m.X)
        least = np.array(m.likelihood.variance).min() if not hasattr(m, "Z") else 0.0
        trace = float(m.kern.Kdiag(X).sum())
        over = math.log(trace / (least + GPY_JITTER) / MAX_CONDITION)
        if over <= 0:
            return 0.0, slope
        m.kern.update_gradients_diag(np.ones(len(X)), X)
        slope[:] = np.array(m.gradient[self.places]) / trace
        slope[~self.of_kernel] = 0
        noise = self.of_noise
        slope[noise] = 0 if hasattr(m, "Z") else -1 / (least + GPY_JITTER)
        slope[self.positive] *= np.exp(self.z[self.positive])
        return len(X) * over**2, 2 * len(X) * over * slope

    @property
    def of_kernel(self) -> NDArray[np.bool_]:
        """Which of z are the kernel's."""
        return np.isin(self.places, self.m._raveled_index_for(self.m.kern))

    @property
    def of_noise(self) -> NDArray[np.bool_]:
        """Which of z are the likelihood's."""
        return np.isin(self.places, self.m._raveled_index_for(self.m.likelihood))

    def starts(self, count: int, *, given: bool = False) -> Iterator[FloatArray]:
        """Yield `count` starts: short and long lengthscales, little and much noise.

        Parameters
        ----------
        given : whether the model's parameters as they are are the first start
        """
        here = self.z
        rng = np.random.default_rng(SEED)
        factors = iter(FIRST_STARTS)
        for i in range(count):
            if given and i == 0:
                yield here
                continue
            z = np.where(self.precision > 0, self.median, here)
            factor, noise = next(factors, (math.exp(rng.normal()), 10 ** rng.uniform(-5, -0.5)))
            for places in self.named("lengthscale"):
                z[places] += math.log(factor / 10)
                if i >= len(FIRST_STARTS):
                    z[places] += rng.normal(size=len(places))
            z[self.of_noise] = math.log(noise)
            yield self._with_best_periods(np.clip(z, *self.bounds.T))

    def _with_best_periods(self, z: FloatArray) -> FloatArray:
        reach = float(np.ptp(np.array(self.m.X), axis=0).max())
        shortest = max(RANGES["period"].low, 2 * reach / len(self.m.X))
        for place in (int(i) for places in self.named("period") for i in places):
            tried = np.tile(z, (PERIODS, 1))
            tried[:, place] = np.linspace(math.log(shortest), math.log(2 * reach), PERIODS)
            z = min(tried, key=lambda one: self(one)[0])
        return z


def explore(
    m: Any,
    count: int,
    *,
    given: bool,
    tolerance: float,
    progress: Callable[[int], object],
) -> None:
    """Give the model the best of the hyperparameters that are found from several starts.

    Parameters
    ----------
    given : whether the parameters that the model has are the first start
    tolerance : relative, of the objective
    progress : called after each start with the number of finished ones

    Raises `ValueError`: the optimiser failed from every start.
    """
    objective = Objective(m)
    best: tuple[float, FloatArray] | None = None
    for done, start in enumerate(objective.starts(count, given=given), 1):
        found = _minimum(objective, start, EXACT_ITERATIONS, tolerance)
        if found[0] < FAILED and (best is None or found[0] < best[0]):
            best = found
        progress(done)
    if best is None:
        raise ValueError(
            "no start of the optimiser gave a kernel matrix that can be factored: give more noise, "
            f"as {option('noise', '0.001')}, or leave out rows that are nearly the same"
        )
    objective.set(best[1])


def polish(m: Any, explored: Any) -> None:
    """Give a model of more rows the hyperparameters of another, and continue from there.

    Raises `ValueError`: the kernel matrix cannot be factored.
    """
    for part in ("kern", "likelihood", "mean_function"):
        source, target = getattr(explored, part), getattr(m, part)
        if source is not None and source.size == target.size:
            target.param_array[:] = source.param_array
    m.trigger_update()
    objective = Objective(m)
    sparse = hasattr(m, "Z")
    iterations = SPARSE_ITERATIONS if sparse else EXACT_ITERATIONS
    start = objective.z
    for least in LEAST_NOISES:
        start[objective.of_noise] = np.maximum(start[objective.of_noise], math.log(least))
        value, z = _minimum(objective, start, iterations, FINE)
        if value < FAILED:
            objective.set(z)
            return
    raise ValueError(
        "the kernel matrix of all rows cannot be factored: give more noise (--noise 0.001)"
    )


def _minimum(
    objective: Objective, start: FloatArray, iterations: int, tolerance: float
) -> tuple[float, FloatArray]:
    """Return the objective's minimum from a start, and where it is, by L-BFGS-B."""
    from scipy.optimize import minimize

    found = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=objective.bounds,
        options={"maxiter": iterations, "ftol": tolerance},
    )
    return float(found.fun), np.asarray(found.x)
