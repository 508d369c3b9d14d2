"""What gunicorn.conf.py switches off while the application is imported, and on again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.helpers.serving import ROOT

_START = """
import gc, json, os, runpy
config = runpy.run_path("gunicorn.conf.py")
import numpy
loading = gc.isenabled(), len(os.listdir("/proc/self/task"))
config["pre_fork"](None, None)
print(json.dumps([loading, gc.isenabled(), gc.get_freeze_count()]))
"""


def test_neither_garbage_is_collected_nor_does_blas_have_threads_until_a_worker_is_forked() -> None:
    environ = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", _START],
        cwd=ROOT, env=environ, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    (collecting, threads), collecting_in_workers, frozen = json.loads(done.stdout)
    assert not collecting
    assert threads == 1
    assert collecting_in_workers
    assert frozen > 10_000
