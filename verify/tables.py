"""Small public tables: our training, GPy's and scikit-learn's, on the same rows."""

from __future__ import annotations

import logging
import math
import multiprocessing
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from service.gpr.fitting import fit_and_score, split
from service.gpr.trainingdata import TrainingData, TrainingOptions
from service.model import FloatArray
from verify import smalltables
from verify.report import Section
from verify.smalltables import SmallTable

Rows = NDArray[np.int64]

PROCESSES = 2
STARTS = 3
HELD_OUT = 0.2
NORMAL_95 = 1.959963984540054
LEAST_TABLES = 200
LOWEST, HIGHEST = 0.92, 0.97
"""Limits of the mean coverage of the 95 % interval."""

NEVER_BELOW = 0.7
"""A table with a smaller coverage must be called too narrow by the verdict."""

OURS, GPY, SKLEARN = "gpserve", "GPy", "scikit-learn"


@dataclass(frozen=True)
class Result:
    """How one side did on one table; `error` is empty unless it failed.

    RMSE and log density are in units of the deviation of the training outputs.
    """

    rmse: float = math.nan
    log_density: float = math.nan
    coverage: float = math.nan
    seconds: float = 0.0
    error: str = ""
    called_narrow: bool = False


def _gpserve(X: FloatArray, y: FloatArray) -> tuple[FloatArray, bool]:
    names = tuple(f"x{i}" for i in range(X.shape[1]))
    options = TrainingOptions(restarts=STARTS, held_out=HELD_OUT)
    model = fit_and_score(TrainingData(X, y, names, "y", "0" * 64), options)
    narrow = "intervals_too_narrow" in model.description.scores["faults"]
    return model.posterior.held_out[:, 1:], narrow


def _gpy(X: FloatArray, y: FloatArray) -> tuple[FloatArray, bool]:
    import GPy

    known, unseen, U = _standardised(X)
    np.random.seed(0)
    kernel = GPy.kern.RBF(U.shape[1], ARD=True)
    m = GPy.models.GPRegression(U[known], y[known, None], kernel, normalizer=True)
    m.optimize_restarts(STARTS, robust=True, verbose=False)
    return np.hstack(m.predict(U[unseen])), False


def _sklearn(X: FloatArray, y: FloatArray) -> tuple[FloatArray, bool]:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    known, unseen, U = _standardised(X)
    kernel = ConstantKernel() * RBF(np.ones(U.shape[1])) + WhiteKernel()
    model = GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=STARTS - 1, random_state=0
    )
    mean, deviation = model.fit(U[known], y[known]).predict(U[unseen], return_std=True)
    return np.column_stack([mean, deviation**2]), False


def _standardised(X: FloatArray) -> tuple[Rows, Rows, FloatArray]:
    known, unseen = split(len(X), HELD_OUT)
    scale = X[known].std(axis=0)
    return known, unseen, (X - X[known].mean(axis=0)) / np.where(scale > 0, scale, 1)


SIDES: dict[str, Callable[[FloatArray, FloatArray], tuple[FloatArray, bool]]] = {
    OURS: _gpserve,
    GPY: _gpy,
    SKLEARN: _sklearn,
}


def _result(side: str, X: FloatArray, y: FloatArray) -> Result:
    known, unseen = split(len(y), HELD_OUT)
    started = time.perf_counter()
    try:
        answers, narrow = SIDES[side](X, y)
        if not np.isfinite(answers).all():
            raise ValueError("an answer is not finite")
    except Exception as error:
        return Result(error=f"{type(error).__name__}: {error}"[:200])
    seconds = time.perf_counter() - started
    scale = y[known].std()
    off = (y[unseen] - answers[:, 0]) / scale
    variance = np.maximum(answers[:, 1] / scale**2, 1e-300)
    density = -0.5 * (np.log(2 * np.pi * variance) + off**2 / variance)
    return Result(
        rmse=float(np.sqrt(np.mean(off**2))),
        log_density=float(np.mean(density)),
        coverage=float(np.mean(np.abs(off) <= NORMAL_95 * np.sqrt(variance))),
        seconds=seconds,
        called_narrow=narrow,
    )


def compare(table: SmallTable) -> dict[str, Result]:
    """Return the result of each side on a table."""
    logging.disable(logging.CRITICAL)  # GPy warns of every overflow
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore")
        return {side: _result(side, table.X, table.y) for side in SIDES}


def usable(table: SmallTable) -> bool:
    """Whether the outputs differ in the rows that train."""
    known, _ = split(len(table.y), HELD_OUT)
    return float(np.ptp(table.y[known])) > 0


def run(chosen: Sequence[SmallTable]) -> dict[str, dict[str, Result]]:
    """Return the results of all sides by the table's name, computed in several processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        found = pool.map(compare, chosen, chunksize=4)
        return {table.name: results for table, results in zip(chosen, found, strict=True)}


def sections() -> list[Section]:
    """Return the section of the public tables."""
    chosen = [table for table in smalltables.tables() if usable(table)]
    found = run(chosen)
    section = Section(
        "Small public tables",
        _text(chosen),
        ["", "failed", "median RMSE", "median log density", "mean coverage", "below 70 %", "time"],
    )
    # A side that fails on a table is compared on none: the others keep theirs in common.
    fitted = [each for each in found.values() if not any(r.error for r in each.values())]
    for side in SIDES:
        failed = sum(bool(each[side].error) for each in found.values())
        section.rows.append(_row(side, failed, [each[side] for each in fitted]))
    section.failures += check(found)
    return [section]


def _text(chosen: Sequence[SmallTable]) -> str:
    counts = [sum(t.name.startswith(name) for t in chosen) for name in smalltables.PACKAGES]
    packages = ", ".join(
        f"{count} of {name}" for count, name in zip(counts, smalltables.PACKAGES, strict=True)
    )
    rows, inputs = [len(t.y) for t in chosen], [t.X.shape[1] for t in chosen]
    return (
        f"{len(chosen)} tables ({packages}) of {min(rows)} to {max(rows)} rows and {min(inputs)} "
        f"to {max(inputs)} inputs, chosen by the rule in `verify/smalltables.py`. All sides train "
        f"on the same {1 - HELD_OUT:.0%} of the rows with an ARD RBF kernel and {STARTS} starts. "
        "They are scored on the others: RMSE and log predictive density in units of the training "
        "outputs' deviation, the share of rows within the 95 % interval, and the tables where that "
        "is below 70 %. Limits: no table fails that GPy fits, no median is worse than another's, a "
        f"mean coverage of {LOWEST:.0%} to {HIGHEST:.0%}, and none below 70 % without a verdict "
        "that the intervals are too narrow. The priors and the calibration were chosen while "
        "looking at tables of these packages, so the comparison is not blind."
    )


def _row(side: str, failed: int, results: Sequence[Result]) -> list[str]:
    return [
        side,
        str(failed),
        f"{_median(results, 'rmse'):.4f}",
        f"{_median(results, 'log_density'):.4f}",
        f"{np.mean([r.coverage for r in results]):.1%}",
        str(sum(r.coverage < NEVER_BELOW for r in results)),
        f"{sum(r.seconds for r in results):.0f} s",
    ]


def _median(results: Sequence[Result], what: str) -> float:
    return float(np.median([getattr(r, what) for r in results]))


def check(found: dict[str, dict[str, Result]]) -> list[str]:
    """Return a sentence for each limit that does not hold."""
    failures = []
    if len(found) < LEAST_TABLES:
        failures.append(f"only {len(found)} tables, not {LEAST_TABLES}")
    for name, each in found.items():
        mine = each[OURS]
        if mine.error and not each[GPY].error:
            failures.append(f"{name} fails: {mine.error}")
        if mine.coverage < NEVER_BELOW and not mine.called_narrow:
            failures.append(
                f"{name}: coverage {mine.coverage:.0%}, and the verdict does not say so"
            )
    fitted = [each for each in found.values() if not any(r.error for r in each.values())]
    ours = [each[OURS] for each in fitted]
    for side in (GPY, SKLEARN):
        theirs = [each[side] for each in fitted]
        if _median(ours, "rmse") > _median(theirs, "rmse"):
            failures.append(f"the median RMSE is worse than {side}'s")
        if _median(ours, "log_density") < _median(theirs, "log_density"):
            failures.append(f"the median log density is worse than {side}'s")
    coverage = float(np.mean([r.coverage for r in ours]))
    if not LOWEST <= coverage <= HIGHEST:
        failures.append(f"the mean coverage is {coverage:.1%}")
    return failures
