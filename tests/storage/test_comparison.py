"""Which versions are clearly worse than the current one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.model import Description
from service.storage.comparison import clearly_worse


def version(name: str = "0123456789ab", output: str = "y", **scores: Any) -> Description:
    return Description(name, name, "RBF", ("x",), output, 10, np.array([[0.0, 1.0]]), {}, scores)


def rmse(value: float, rows: int = 500) -> dict[str, float]:
    return {"rmse": value, "rows": rows}


CURRENT = version("cccccccccccc", leave_one_out=rmse(1.0), faults=[], verdict=["Good."])
NARROW: dict[str, Any] = {
    "faults": ["intervals_too_narrow"],
    "verdict": ["The intervals are too narrow."],
}


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (version(leave_one_out=rmse(1.1)), ""),
        (version(leave_one_out=rmse(1.3)), "RMSE is 1.3, and that of the current version cccccc"),
        (version(leave_one_out=rmse(1.3, rows=20)), ""),  # may be chance
        (version(leave_one_out=rmse(3, rows=20)), "leave-one-out RMSE is 3,"),
        (version(output="z", leave_one_out=rmse(9)), ""),
        (version(held_out=rmse(9)), ""),  # scored in another way
        (version(), ""),
        (version(leave_one_out=rmse(1.0), **NARROW), "no such fault: The intervals are too narrow"),
        (version(leave_one_out=rmse(1.0), faults=["intervals_too_wide"], verdict=["Wide."]), ""),
    ],
)
def test_clearly_worse(new: Description, reason: str) -> None:
    found = clearly_worse(new, CURRENT)
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_fault_that_the_current_version_has_keeps_nothing_out() -> None:
    faulty = version(leave_one_out=rmse(1.0), **NARROW)
    assert clearly_worse(faulty, faulty) == ""


def test_models_that_are_not_scored_are_not_compared() -> None:
    assert clearly_worse(CURRENT, version()) == ""
    assert clearly_worse(version(leave_one_out=rmse(1.0), **NARROW), version()) == ""
    assert clearly_worse(version(leave_one_out="fine"), CURRENT) == ""
