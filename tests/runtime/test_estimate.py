"""The first estimate of a point's cost follows from the model, not from what else the CPU did."""

from __future__ import annotations

import pytest

from service.model import FloatArray
from service.runtime import runtime
from tests.helpers.toys import Sum


class Interrupted(Sum):
    """A millisecond a call by the test's clock; in the calls that are named it loses the CPU."""

    def __init__(self, lost: set[int]) -> None:
        super().__init__()
        self.lost, self.calls, self.now = lost, 0, 0.0

    def predict(self, X: FloatArray, *, noise: bool = True) -> FloatArray:
        self.now += 0.001 + (self.calls in self.lost)
        self.calls += 1
        return super().predict(X, noise=noise)


@pytest.mark.parametrize("lost", [set(), {0}, {1}, {0, 2}, {1, 2}])
def test_a_lost_turn_of_the_cpu_makes_no_model_slow(
    monkeypatch: pytest.MonkeyPatch, lost: set[int]
) -> None:
    model = Interrupted(lost)
    monkeypatch.setattr(runtime, "perf_counter", lambda: model.now)
    assert runtime._measure(model) == pytest.approx(0.001 / 64)
