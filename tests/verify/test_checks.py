"""Every check of `make verify` passes for a right model, and fails for one that is slightly off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import GPy
import numpy as np
import pytest

from service.gpr import GPR
from service.gpr.conditioning import answers
from service.gpr.kernels import RBF
from service.gpr.validation import leave_one_out
from service.model import FloatArray
from tests.gpr import oracle
from verify import (
    coordinates,
    draws,
    kernels,
    leaveoneout,
    oldfiles,
    pages,
    sparse,
    toolkits,
    training,
)
from verify.report import Section

SLIGHTLY = 1 + 1e-7

WRONG = {
    "mean": lambda p: replace(p, alpha=p.alpha * SLIGHTLY),
    "variance": lambda p: replace(p, factor=p.factor * SLIGHTLY),
}


def wrong(model: GPR, what: str) -> GPR:
    """Return the model with another mean or variance, and a file that proves itself."""
    p = WRONG[what](model.posterior)
    return GPR.from_posterior(replace(p, reference_answers=answers(p, p.reference_X)))


def failures(check: Callable[[Section], None]) -> list[str]:
    section = Section("", "", [])
    check(section)
    assert section.rows, "a check adds a row"
    return section.failures


def in_all_ways(model: GPR, check: Callable[[GPR, Section], None]) -> None:
    """The right model passes, and the failure of a wrong one names what is wrong."""
    assert not failures(lambda section: check(model, section))
    for what in WRONG:
        found = failures(lambda section, what=what: check(wrong(model, what), section))  # type: ignore[misc]
        assert any(what in failure for failure in found), found


@pytest.fixture(scope="module")
def rbf() -> kernels.Case:
    return next(kernels.cases())


@pytest.mark.parametrize("check", [kernels.check_answers, kernels.check_derivatives])
def test_kernels(rbf: kernels.Case, check: Callable[[kernels.Case, Section], None]) -> None:
    in_all_ways(rbf.model, lambda model, section: check(replace(rbf, model=model), section))


def test_sparse() -> None:
    X, y = oracle.data(60, 2)
    k = GPy.kern.RBF(2, 1.5, 1.1)
    m = GPy.models.SparseGPRegression(X, y, k, Z=X[:12].copy(), normalizer=True)
    m.likelihood.variance[:] = 1e-3
    model = GPR.from_gpy(m, ["a", "b"])
    right = Section("", "", [])
    sparse.check("", m, model, right)
    assert not right.failures
    off = Section("", "", [])
    sparse.check("", m, wrong(model, "variance"), off)
    assert len(off.failures) == 1


def test_coordinates() -> None:
    case = next(coordinates.cases())
    in_all_ways(case.publish(), lambda model, section: coordinates.check(case, model, section))


def test_old_files() -> None:
    model = GPR.load(oldfiles.FOLDER / "exact.npz")
    in_all_ways(model, lambda found, section: oldfiles.check("exact", found, section))


def test_toolkits() -> None:
    X, y = toolkits.data()
    model = GPR.from_parts(X, y, kernel=RBF(2, 40, [2, 50]), noise_variance=0.1)
    case = toolkits.Case("a model", model, model.predict(toolkits.points()))
    slightly = 10 * toolkits.BESIDE
    assert not failures(lambda section: toolkits.check(case, case.model, section))
    for column, what in enumerate(WRONG):
        theirs = case.theirs.copy()
        theirs[:, column] *= 1 + slightly
        found = failures(
            lambda section, theirs=theirs: toolkits.check(  # type: ignore[misc]
                replace(case, theirs=theirs), case.model, section
            )
        )
        assert any(what in failure for failure in found), found


def test_leave_one_out() -> None:
    case = next(leaveoneout.cases())
    wanted = case.truth.leave_one_out()
    once: Any = SimpleNamespace(leave_one_out=lambda: wanted)
    case = replace(case, truth=once)
    right = leave_one_out(case.model.posterior)
    assert not failures(lambda section: leaveoneout.check(case, right, section))
    for column in range(2):
        off = right.copy()
        off[3, column] *= SLIGHTLY
        assert failures(lambda section, off=off: leaveoneout.check(case, off, section))  # type: ignore[misc]


SAMPLERS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "variance": lambda S: S.mean(axis=0) + 1.15 * (S - S.mean(axis=0)),
    "mean": lambda S: S + 0.1 * S.std(axis=0),
    "correlation": lambda S: np.column_stack([np.roll(S[:, i], i) for i in range(S.shape[1])]),
}


def test_draws() -> None:
    case = next(case for case in draws.cases() if case.name == "Exponential")
    found = case.truth()
    case = replace(case, truth=lambda: found)
    assert not failures(lambda section: draws.check(case, case.model, section))
    for what, change in SAMPLERS.items():
        sampler: Any = SimpleNamespace(
            samples=lambda X, n, seed, change=change: change(case.model.samples(X, n, seed))
        )
        off = failures(lambda section, sampler=sampler: draws.check(case, sampler, section))  # type: ignore[misc]
        assert off, what
        assert all(what in failure for failure in off), off


def test_training() -> None:
    numbers = {
        "gpserve": {"seconds": 10.0, "MB": 300.0},
        "gpy": {"seconds": 10.0, "MB": 300.0},
    }
    assert not failures(lambda section: training.check(numbers, section))
    for what in ("seconds", "MB"):
        numbers["gpserve"][what] *= 2
        found = failures(lambda section: training.check(numbers, section))
        assert what in found[-1]


def test_the_page_of_toolkits() -> None:
    assert pages.run("```python\nassert True\n```\n") == ""
    assert pages.run("```python\nassert 1 == 2, 'no'\n```\n") == "AssertionError: no"
    assert pages._BLOCK.findall(pages.PAGE.read_text())
