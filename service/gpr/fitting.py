"""Train on a part of the rows and score on the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from service.gpr import GPR
from service.gpr.conditioning import Stated, condition
from service.gpr.posterior import Posterior
from service.gpr.scaling import constant_columns, without_rounding
from service.gpr.training import fit
from service.gpr.trainingdata import Progress, TrainingData, TrainingOptions, held_out_rows


def split(n: int, share: float, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle n rows and return those to train on and those held out, each in file order."""
    order = np.random.default_rng(seed).permutation(n)
    held_out = held_out_rows(n, share)
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

    The model is then given the held-out rows, too, with the hyperparameters that it has, unless
    `options` say `held_out_only`.

    Parameters
    ----------
    options : the model is called by its `name`, or else by the output's
    cpus : processors that the fit may use
    progress : called after each restart with the number of finished restarts
    """
    known, unseen = split(len(table.y), options.held_out)
    with threadpool_limits(blas_threads(len(known), options.inducing, cpus), "blas"):
        trained = fit(
            table.X[known],
            table.y[known],
            options,
            table.feature_names,
            table.output_name,
            categories=table.categories,
            row_noise=None if table.noise is None else table.noise[known],
            progress=progress,
        )
        answers = GPR.from_posterior(trained).predict(table.X[unseen])
        if table.noise is not None:
            answers[:, 1] += table.noise[unseen]
        served = trained if options.held_out_only else _given_all_rows(trained, table)
    return GPR.from_posterior(
        replace(
            served,
            name=options.name or table.output_name,
            data_sha256=table.sha256,
            held_out=np.column_stack([table.y[unseen], answers]),
        )
    )


def _given_all_rows(p: Posterior, table: TrainingData) -> Posterior:
    """Return the posterior of the same hyperparameters and standardisation, given all rows."""
    noise = np.zeros(0) if table.noise is None else table.noise / p.output_scale**2
    stated = Stated(
        kernel=p.kernel,
        noise_variance=p.noise_variance,
        row_noise=noise,
        jitter=p.jitter,
        mean=p.mean,
        input_offset=p.input_offset,
        input_scale=p.input_scale,
        output_offset=p.output_offset,
        output_scale=p.output_scale,
        Z=p.X if p.inducing else np.zeros((0, 0)),
    )
    return condition(
        without_rounding(table.X),
        table.y,
        stated,
        p.feature_names,
        p.output_name,
        categories=p.categories,
        trained_by=p.gpy_version,
    )


def notes(table: TrainingData) -> list[str]:
    """Return sentences on what the modeller may not expect."""
    constant = np.flatnonzero(constant_columns(table.X))
    return [
        f"The input {table.feature_names[i]!r} is constant: it has no effect on the answers."
        for i in constant
    ]
