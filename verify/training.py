"""Training of 2000 rows, beside GPy: time and memory, each in a process of its own.

`python -m verify.training gpserve` and `python -m verify.training gpy` print theirs as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from service.model import FloatArray
from verify.report import Section

N, D = 2000, 4
LIMIT = 1.1
"""Of the ratios to GPy's; a tenth is the noise of the measurement."""

TURNS = 2
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SIDES = ("gpserve", "gpy")


def data() -> tuple[FloatArray, FloatArray]:
    """Return noisy values of a smooth function of inputs in [0, 1]."""
    rng = np.random.default_rng(1)
    X = rng.random((N, D))
    y = np.sin(6 * X[:, 0]) + X[:, 1] ** 2 + np.cos(4 * X[:, 2] * X[:, 3])
    return X, y + 0.1 * rng.standard_normal(N)


def _with_gpserve() -> float:
    from service.gpr import training
    from service.gpr.trainingdata import TrainingOptions

    X, y = data()
    start = time.process_time()
    training.fit(X, y, TrainingOptions(restarts=1))
    return time.process_time() - start


def _with_gpy() -> float:
    import GPy

    X, y = data()
    start = time.process_time()
    U = (X - X.mean(axis=0)) / X.std(axis=0)
    m = GPy.models.GPRegression(U, y[:, None], GPy.kern.RBF(D, ARD=True), normalizer=True)
    m.optimize(max_iters=1000)
    m.predict(U[:10])
    return time.process_time() - start


def measured(side: str) -> dict[str, float]:
    """Train in a new process; return the CPU's seconds and the largest memory in MB."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "verify.training", side],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        env={**os.environ, **ONE_THREAD},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def best() -> dict[str, dict[str, float]]:
    """Return the least seconds and memory of each side, measured in turns."""
    turns = [{side: measured(side) for side in SIDES} for _ in range(TURNS)]
    return {
        side: {what: min(turn[side][what] for turn in turns) for what in ("seconds", "MB")}
        for side in SIDES
    }


def check(found: dict[str, dict[str, float]], section: Section) -> None:
    """Add both rows, and the ratios."""
    for side, numbers in found.items():
        section.rows.append([side, f"{numbers['seconds']:.1f} s", f"{numbers['MB']:.0f} MB"])
    cells: list[Any] = []
    for what in ("seconds", "MB"):
        ratio = found["gpserve"][what] / found["gpy"][what]
        section.check(f"ratio of {what}", ratio, LIMIT)
        cells.append(f"{ratio:.2f}")
    section.rows.append(["ratio", *cells])


def sections() -> list[Section]:
    """Return the section of training."""
    section = Section(
        f"Training of {N} rows",
        f"{D} inputs, RBF with a lengthscale for each, one start of the optimiser on both sides, "
        f"each in a process of its own with one BLAS thread, the best of {TURNS} turns. The time "
        "is the CPU's in the training, which other load on the machine changes little; the memory "
        f"is the largest of the process. The limit of the ratios is {LIMIT:g}.",
        ["", "time", "memory"],
    )
    check(best(), section)
    return [section]


if __name__ == "__main__":
    seconds = {"gpserve": _with_gpserve, "gpy": _with_gpy}[sys.argv[1]]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "MB": peak}))
