"""Our client, timed: `python -m bench.clientcall URL POINTS` prints seconds."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from gpserve_client import Client


def main(url: str, n: int) -> None:
    """Predict n points twice and print the seconds of the second time."""
    with Client(url) as gp:
        low, high = gp.model().training_range.T
        X = np.random.default_rng(0).uniform(low, high, (n, len(low)))
        gp.predict(X[: n // 10])
        started = time.perf_counter()
        gp.predict(X)
        print(json.dumps(time.perf_counter() - started))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
