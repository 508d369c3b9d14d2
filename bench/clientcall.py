"""A timed call of the Python client: `python -m bench.clientcall URL POINTS`.

It prints a line when it is warm, waits for a line, and prints the call's seconds and CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from gpserve_client import Client


def main(url: str, n: int) -> None:
    """Predict n points after a line on standard input."""
    with Client(url) as gp:
        low, high = gp.model().training_range.T
        X = np.random.default_rng(0).uniform(low, high, (n, len(low)))
        gp.predict(X[: n // 10])
        print("warm", flush=True)
        sys.stdin.readline()
        started, busy = time.perf_counter(), time.process_time()
        gp.predict(X)
        times = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - busy}
        print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
