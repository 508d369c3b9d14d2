"""The verdict: what is wrong is said, whatever else is right, and a good model is called good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.gpr.validation import scores
from service.gpr.verdict import at_most, verdict


def scored(n: int, *, spread: float = 1.0, error: float = 0.2, seed: int = 0) -> dict[str, float]:
    """Scores of n rows whose intervals are too narrow by the factor `spread`."""
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal(n)
    observed = mean + error * rng.standard_normal(n)
    return scores(observed, np.column_stack([mean, np.full(n, (error / spread) ** 2)]))


GOOD = {"leave_one_out": scored(500), "held_out": scored(100, seed=1)}


def test_a_good_model_is_called_good_in_one_sentence() -> None:
    found = verdict(GOOD)
    assert found["faults"] == []
    (sentence,) = found["verdict"]
    assert sentence.startswith("Good: the 95 % interval contains 9")
    assert "explains 9" in sentence


def test_a_weak_model_with_right_intervals_is_not_called_good() -> None:
    weak = verdict({"leave_one_out": scored(500, error=2.0)})
    assert weak["faults"] == []
    assert weak["verdict"][0].startswith("The intervals can be believed")
    assert "explains only 2" in weak["verdict"][0]


@pytest.mark.parametrize(
    ("changed", "fault", "words"),
    [
        ({"leave_one_out": scored(500, spread=2)}, "intervals_too_narrow", "--noise auto"),
        ({"held_out": scored(100, spread=3)}, "intervals_too_narrow", "100 held-out rows"),
        ({"leave_one_out": scored(500, spread=0.4)}, "intervals_too_wide", "less noise"),
        ({"leave_one_out": scored(500, error=20)}, "no_better_than_the_mean", "--features"),
        ({"held_out": scored(100, error=0.6)}, "fits_only_the_training_rows", "fits its"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    changed: dict[str, Any], fault: str, words: str
) -> None:
    found = verdict(GOOD | changed)
    assert found["faults"] == [fault]
    assert words in found["verdict"][0]


def test_coverage_below_70_percent_never_passes() -> None:
    for n in range(1, 60):
        for within in range(n + 1):
            rows = {"rows": n, "rmse": 1.0, "q2": 0.9, "coverage_95": within / n}
            for method in ("leave_one_out", "held_out"):
                faults = verdict(GOOD | {method: rows})["faults"]
                if within < 0.7 * n:
                    assert "intervals_too_narrow" in faults, (n, within)
                elif n - within <= 1:
                    assert "intervals_too_narrow" not in faults, (n, within)


def test_intervals_that_are_narrow_anyway_may_be_too_wide() -> None:
    for error, faults in ((0.1, ["intervals_too_wide"]), (1e-4, [])):
        wide = {"leave_one_out": scored(500, error=error, spread=0.2)}
        assert verdict(wide)["faults"] == faults


def test_few_rows_and_far_rows_are_noted() -> None:
    few = verdict({"leave_one_out": scored(25)})
    assert few["faults"] == []
    assert few["verdict"][1].startswith("Only 25 rows score the model")
    far = verdict({"leave_one_out": GOOD["leave_one_out"] | {"largest_residual": 9.4}})
    assert "up to 9 standard deviations" in far["verdict"][1]


def test_a_model_without_scores_says_so() -> None:
    assert "not known" in verdict({"something": 3.0})["verdict"][0]


def test_the_binomial_tail() -> None:
    assert at_most(0, 3, 0.5) == pytest.approx(1 / 8)
    assert at_most(2, 3, 0.5) == pytest.approx(7 / 8)
    assert at_most(3, 3, 0.5) == pytest.approx(1)
