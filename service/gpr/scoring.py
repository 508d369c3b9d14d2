"""How good a model is on rows that it has not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.model import FloatArray

NORMAL_95 = 1.959963984540054
"""The normal distribution holds 95 % within so many standard deviations."""


def scores(answers: FloatArray, y: FloatArray) -> dict[str, float]:
    """Root mean squared error, mean log predictive density, and coverage of the 95 % interval.

    `answers` has shape (n, 2): mean and variance, with noise. Rasmussen & Williams, section 2.5.
    """
    error = y - answers[:, 0]
    variance = answers[:, 1]
    density = -0.5 * (np.log(2 * np.pi * variance) + error**2 / variance)
    return {
        "held_out_rows": float(len(y)),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "log_predictive_density": float(np.mean(density)),
        "coverage_95": float(np.mean(np.abs(error) <= NORMAL_95 * np.sqrt(variance))),
    }


def split(n: int, share: float, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle n rows and return those to train on and those held out, each in file order."""
    order = np.random.default_rng(seed).permutation(n)
    held_out = round(n * share)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
