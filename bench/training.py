"""Train the models that all sides serve, with GPy: `python -m bench.training FOLDER`."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import GPy
import numpy as np

from service.gpr import GPR

NAMES = ("x1", "x2", "x3", "x4")
SIZES = (500, 100, 1000, 2000, 4000)


def _data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy values of a smooth function of four inputs in [0, 1]."""
    rng = np.random.default_rng(1)
    X = rng.random((n, len(NAMES)))
    y = np.sin(6 * X[:, 0]) + X[:, 1] ** 2 + np.cos(4 * X[:, 2] * X[:, 3])
    return X, (y + 0.1 * rng.standard_normal(n))[:, None]


def _model(n: int, like: GPy.models.GPRegression | None) -> GPy.models.GPRegression:
    X, y = _data(n)
    model = GPy.models.GPRegression(X, y, GPy.kern.RBF(len(NAMES), ARD=True))
    if like is None:
        model.optimize(max_iters=100)
    else:
        model[:] = like.param_array
    return model


def main(folder: Path) -> None:
    """Write n500 and the others, as `.npz` for the service and `.pickle` for GPy."""
    folder.mkdir(parents=True, exist_ok=True)
    first = None
    for n in SIZES:
        trained = _model(n, like=first)
        first = first or trained
        with open(folder / f"n{n}.pickle", "wb") as file:
            pickle.dump(trained, file)
        GPR.from_gpy(trained, feature_names=NAMES).save(folder / f"n{n}.npz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
