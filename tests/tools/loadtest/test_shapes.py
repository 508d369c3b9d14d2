"""Load shapes: the request rate over time."""

from __future__ import annotations

import pytest

from loadtest import shapes


def test_steps_hold_their_rates() -> None:
    shape = shapes.steps([10, 100, 10], 30)
    assert [shape.rate(t) for t in (0, 9.9, 10, 19.9, 20, 29.9)] == [10, 10, 100, 100, 10, 10]
    assert shape.seconds == 30
    assert shape.requests() == pytest.approx(1200)


def test_a_ramp_is_linear() -> None:
    shape = shapes.ramp(0, 100, 10)
    assert [shape.rate(t) for t in (0, 2.5, 5)] == [0, 25, 50]
    assert shape.requests() == pytest.approx(500)


def test_a_day_has_a_night_and_peaks() -> None:
    shape = shapes.day(20, 420, 24)
    assert (shape.rate(3), shape.rate(10)) == (20, 420)
    assert shape.rate(12) < shape.rate(10)
    assert shape.rate(15) > shape.rate(12)
    assert shape.rate(0) == pytest.approx(shape.points[-1][1])


def test_the_rate_is_zero_after_the_end() -> None:
    assert shapes.steps([5], 10).rate(10.1) == 0
