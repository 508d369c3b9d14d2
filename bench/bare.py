"""The model without HTTP: `python -m bench.bare N SECONDS POINTS…` prints points per second
for each number of POINTS per call, as JSON.

It runs in the service's environment, or in one with GPy and scikit-learn: then their own rates are
measured, too, and those of the machine: of a matrix product, and of reading a triangle's numbers
once. All take turns, and each is judged by its best call in CPU time of the thread, so that other
work on the machine has little influence. Beside the rates it says what computes the model's.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from service.gpr import GPR
from service.model import FloatArray

MODELS = Path(__file__).resolve().parent.parent / "build" / "bench" / "models"
TURN_SECONDS = 0.1
BLOCK_SECONDS = 0.002

PRODUCT = 1500
"""Rows and columns of the matrix product that shows what the core can do."""

Way = tuple[float, Callable[[], object]]
"""Points per call, and the call."""


@dataclass(frozen=True)
class Turn:
    """The least CPU seconds of a call, how many calls there were, and seconds on the wall."""

    best: float
    calls: int
    wall: float


def rates(ways: dict[str, Way], seconds: float) -> dict[str, float]:
    """Return points per second of each way: of CPU time by its best call, and sustained.

    The sustained rate, of the clock on the wall, suffers from other work as a long request does.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in ways}
    for _ in range(max(1, round(seconds / TURN_SECONDS))):
        for name, (_, call) in ways.items():
            turns[name].append(_turn(call))
    best = {name: n / min(turn.best for turn in turns[name]) for name, (n, _) in ways.items()}
    sustained = {
        f"{name}, sustained": ways[name][0] * sum(t.calls for t in own) / sum(t.wall for t in own)
        for name, own in turns.items()
    }
    return best | sustained


def _sklearn(gpy: Any) -> Any:
    """Return scikit-learn's regressor with the data and hyperparameters of GPy's."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    kernel = ConstantKernel(float(gpy.rbf.variance[0])) * RBF(np.array(gpy.rbf.lengthscale))
    noise = float(gpy.Gaussian_noise.variance[0])
    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(gpy.X, gpy.Y[:, 0])


def _refuse_different_means(*means: FloatArray) -> None:
    for mean in means[1:]:
        np.testing.assert_allclose(mean, means[0], rtol=1e-6, atol=1e-6)


def _turn(call: Callable[[], object]) -> Turn:
    """Make calls in blocks: a virtual machine's clock of a thread may stand still during one."""
    started = time.perf_counter()
    call()
    number = max(1, round(BLOCK_SECONDS / (time.perf_counter() - started)))
    best, calls = float("inf"), 1
    while calls == 1 or time.perf_counter() < started + TURN_SECONDS:
        before = time.thread_time()
        for _ in range(number):
            call()
        best = min(best, (time.thread_time() - before) / number)
        calls += number
    return Turn(best, calls, time.perf_counter() - started)


def main(size: int, seconds: float, calls: list[int]) -> None:
    """Measure all ways and print the rates."""
    model = GPR.load(MODELS / f"n{size}.npz")
    X = np.random.default_rng(3).random((max(calls), 4))
    ways: dict[str, Way] = {f"gpserve {n}": (n, partial(model.predict, X[:n])) for n in calls}
    if find_spec("sklearn"):
        gpy = pickle.loads((MODELS / f"n{size}.pickle").read_bytes())
        sklearn = partial(_sklearn(gpy).predict, return_std=True)
        _refuse_different_means(model.predict(X)[:, 0], gpy.predict(X)[0][:, 0], sklearn(X)[0])
        ways |= {f"GPy {n}": (n, partial(gpy.predict, X[:n])) for n in calls}
        ways |= {f"scikit-learn {n}": (n, partial(sklearn, X[:n])) for n in calls}
        A, B = np.random.default_rng(4).random((2, PRODUCT, PRODUCT))
        triangle = np.ones(size * (size + 1) // 2)
        ways["flops"] = (2 * PRODUCT**3, partial(np.matmul, A, B))
        ways["reads"] = (1, partial(np.dot, triangle, triangle))
    print(json.dumps(rates(ways, seconds) | {"by": model.arithmetic}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), [int(n) for n in sys.argv[3:]])
