"""Train on a part of the rows and score on the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from service.gpr import GPR
from service.gpr.training import fit
from service.gpr.trainingdata import Progress, TrainingData, TrainingOptions


def split(n: int, share: float, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle n rows and return those to train on and those held out, each in file order."""
    order = np.random.default_rng(seed).permutation(n)
    held_out = round(n * share)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


LARGE = 2000 * 2000
"""From this many elements on, several threads factor a matrix faster than one."""


def blas_threads(rows: int, inducing: int, cpus: int) -> int:
    """Return the number of BLAS threads for a fit on `cpus` processors.

    Unless the matrices are large, threads that wait for each other use several times the CPU time
    of one, and take longer when they must share it.
    """
    return cpus if rows * (inducing or rows) >= LARGE else 1


def fit_and_score(
    table: TrainingData,
    options: TrainingOptions,
    *,
    cpus: int = 1,
    progress: Progress = lambda done: None,
) -> GPR:
    """Train on all rows but a held-out share, and score on that share.

    Parameters
    ----------
    options : the model is called by its `name`, or else by the output's
    cpus : processors that the fit may use
    progress : called after each restart with the number of finished restarts
    """
    known, unseen = split(len(table.y), options.held_out)
    with threadpool_limits(blas_threads(len(known), options.inducing, cpus), "blas"):
        posterior = fit(
            table.X[known],
            table.y[known],
            options,
            table.feature_names,
            table.output_name,
            progress=progress,
        )
    name = options.name or table.output_name
    answers = GPR.from_posterior(posterior).predict(table.X[unseen])
    held_out = np.column_stack([table.y[unseen], answers])
    named = replace(posterior, name=name, data_sha256=table.sha256, held_out=held_out)
    return GPR.from_posterior(named)
