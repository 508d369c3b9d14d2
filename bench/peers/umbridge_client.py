"""UM-Bridge's own client, unmodified: `python -m bench.peers.umbridge_client URL CALLS CLIENTS`."""

from __future__ import annotations

import json
import sys
import time
from multiprocessing import Barrier, Pool
from multiprocessing.synchronize import Barrier as BarrierType

import umbridge

POINT = [0.1, 0.2, 0.3, 0.4]
_barrier: BarrierType


def _begin(barrier: BarrierType) -> None:
    global _barrier
    _barrier = barrier


def _calls(url: str, count: int) -> tuple[float, float]:
    model = umbridge.HTTPModel(url, umbridge.supported_models(url)[0])
    model([POINT])
    _barrier.wait()
    started = time.monotonic()
    for _ in range(count):
        model([POINT])
    return started, time.monotonic()


def main(url: str, count: int, clients: int) -> None:
    """Print the calls per second of this many clients, each in its own process."""
    with Pool(clients, _begin, (Barrier(clients),)) as pool:
        spans = pool.starmap(_calls, [(url, count)] * clients, chunksize=1)
    seconds = max(end for _, end in spans) - min(start for start, _ in spans)
    print(json.dumps(clients * count / seconds))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
