"""The model without HTTP: `python -m bench.bare N SECONDS POINTS…` prints points a second for each
number of POINTS a call, as JSON.

Runs in the service's environment, or where GPy is: then GPy's own rate stands beside it, round by
round, and the rate of a plain matrix product of the same size.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from service.gpr import GPR

MODELS = Path(__file__).resolve().parent.parent / "build" / "bench" / "models"


def _rate(work: Callable[[], object], points: int, seconds: float) -> float:
    """Points a second, best of the calls that fit into the time."""
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return points / best


def main(size: int, seconds: float, calls: list[int]) -> None:
    """Measure each way in turn."""
    model = GPR.load(MODELS / f"n{size}.npz")
    X = np.random.default_rng(3).random((max(calls), 4))
    rates = {f"gpserve {n}": _rate(lambda n=n: model.predict(X[:n]), n, seconds) for n in calls}  # type: ignore[misc]
    if find_spec("GPy"):
        gpy = pickle.loads((MODELS / f"n{size}.pickle").read_bytes())
        for n in calls:
            rates[f"GPy {n}"] = _rate(lambda n=n: gpy.predict(X[:n]), n, seconds)  # type: ignore[misc]
        A, B = np.random.default_rng(4).random((2, size, size))
        flops = 2 * size**2 * _rate(lambda: A @ B, size, seconds)
        rates["flops"] = flops
    print(json.dumps(rates))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), [int(n) for n in sys.argv[3:]])
