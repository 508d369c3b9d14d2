"""What a rate means as a whole number of requests or points, in so many seconds."""

from __future__ import annotations

import pytest

from service.runtime.callers import Caller, KeyLimits
from service.runtime.ratelimits import Allowance, Counted, RateLimits


def allowance(counted: Counted, rate: float) -> Allowance:
    limits = KeyLimits(requests_per_second=rate, points_per_second=rate)
    taken = RateLimits("").take(Caller("key:mine", frozenset(), limits=limits), counted)
    assert taken is not None
    return taken


@pytest.mark.parametrize("counted", ["requests", "points"])
@pytest.mark.parametrize(
    "rate", [0.001, 0.15, 0.29, 1 / 3, 0.5, 0.99, 1, 1.09, 1.5, 1.9, 2, 3.7, 49.9, 50, 1e5]
)
def test_a_rate_is_never_exceeded_nor_cut_by_more_than_a_tenth(
    counted: Counted, rate: float
) -> None:
    found = allowance(counted, rate)
    assert 0.9 * rate <= found.most / found.seconds <= rate * (1 + 1e-9)


def test_windows_are_as_short_as_they_can_be() -> None:
    policies = [allowance("requests", rate).policy for rate in (50, 2.5, 1.9, 0.01)]
    assert policies == [
        '"requests";q=50;w=1',
        '"requests";q=5;w=2',
        '"requests";q=17;w=9',
        '"requests";q=1;w=100',
    ]
    assert allowance("points", 10_000).policy == '"points";q=100000;w=10'
