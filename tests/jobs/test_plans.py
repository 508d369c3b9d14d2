"""The chunk size depends on the time per row, not on what else the machine was doing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.gpr import GPR
from service.jobs import plans
from service.jobs.plans import READ_SECONDS_PER_ROW, rows_per_part
from service.model import FloatArray, Model
from service.services.options import Options

MODEL = GPR.load(Path("service/pretrained.npz"))


class Clock:
    """A fake CPU clock with a given time per row, on which some calls are delayed."""

    def __init__(self, row: float, lost: dict[int, float]) -> None:
        self.now, self.row, self.lost, self.calls = 0.0, row, lost, 0

    def read(self) -> float:
        return self.now

    def predict(self, model: Model, X: FloatArray, noise: bool) -> FloatArray:
        self.now += self.row * len(X) + self.lost.get(self.calls, 0)
        self.calls += 1
        return np.zeros((len(X), 2))


@pytest.mark.parametrize("lost", [{}, {0: 0.1}, {1: 5}, {0: 0.1, 2: 0.1, 4: 1}])
@pytest.mark.parametrize("row", [1e-6, 40e-6, 1e-3, 0.2, 10])
def test_cpu_contention_does_not_shrink_the_chunks(
    monkeypatch: pytest.MonkeyPatch, row: float, lost: dict[int, float]
) -> None:
    clock = Clock(row, lost)
    monkeypatch.setattr(plans, "perf_counter", clock.read)
    rows = rows_per_part(MODEL, Options(), clock.predict, seconds=1)
    tile = MODEL.large_tile
    ideal = 1 / (row + READ_SECONDS_PER_ROW)
    assert rows % tile == 0
    assert max(tile, ideal - tile) <= rows <= max(tile, ideal + tile)
