"""Train on a part of the rows and score on the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from threadpoolctl import threadpool_limits

from service.gpr import GPR
from service.gpr.scoring import scores, split
from service.gpr.training import fit
from service.gpr.trainingdata import TrainingData
from service.runtime.cpus import cpu_limit, threads_for

LARGE = 2000 * 2000
"""Elements of a matrix that more than one thread factors faster."""


def threads_of(rows: int, inducing: int) -> int:
    """BLAS threads of a fit: threads that wait for each other burn several times the CPU of one,
    and take longer when they must share it, unless the matrices are large.
    """
    return threads_for(cpu_limit()) if rows * (inducing or rows) >= LARGE else 1


def fit_and_score(
    table: TrainingData,
    *,
    kernel: str,
    ard: bool,
    inducing: int,
    restarts: int,
    held_out: float,
    name: str,
    progress: Callable[[], object],
) -> GPR:
    """The model trained on all rows but a share that is held out, with the scores on that share.

    `progress` is called after each restart.
    """
    known, unseen = split(len(table.y), held_out)
    with threadpool_limits(threads_of(len(known), inducing), "blas"):
        posterior = fit(
            table.X[known],
            table.y[known],
            kernel,
            table.feature_names,
            table.output_name,
            restarts=restarts,
            inducing=inducing,
            ard=ard,
            progress=progress,
            name=name,
            data_sha256=table.sha256,
        )
    found = scores(GPR.from_posterior(posterior).predict(table.X[unseen]), table.y[unseen])
    return GPR.from_posterior(replace(posterior, scores=found))
