"""Two small Gaussian processes: one of numbers, and one with a categorical input."""

from __future__ import annotations

from functools import cache

import numpy as np

from service.gpr import GPR
from service.gpr.conditioning import Stated, condition
from service.gpr.kernels import RBF

NAMES = ("lat", "long", "depth", "stations")
WORDS = ("automatic", "manual, 5 gears", "4", "é")


@cache
def numbers() -> GPR:
    """A model of four numbers, with the names of the bundled one."""
    X = np.random.default_rng(1).uniform((-38, 165, 40, 10), (-10, 188, 680, 132), (12, 4))
    return GPR.from_parts(
        X,
        np.sin(X).sum(axis=1),
        kernel=RBF(4, 2.0, [5.0, 9.0, 200.0, 30.0]),
        noise_variance=0.1,
        mean="constant",
        feature_names=NAMES,
        output_name="mag",
        name="quakes",
    )


@cache
def words() -> GPR:
    """A model of a number and of a word."""
    x = np.linspace(0, 10, 12)
    stated = Stated(
        kernel=RBF(1 + len(WORDS), 1.0, [2.0, *[1.0] * len(WORDS)]),
        noise_variance=0.1,
        input_offset=np.zeros(1 + len(WORDS)),
        input_scale=np.ones(1 + len(WORDS)),
    )
    codes = np.column_stack([x, np.arange(12) % len(WORDS)])
    posterior = condition(codes, np.cos(x), stated, ["wt", "gear"], "mpg", categories={1: WORDS})
    return GPR.from_posterior(posterior)
