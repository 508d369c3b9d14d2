"""Leave-one-out in closed form beside brute force: every row left out and the rest fitted anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.gpr import GPR, kernels
from service.gpr.means import Basis
from service.gpr.validation import leave_one_out
from service.model import FloatArray
from tests.gpr import exactkernels as exact
from tests.gpr import truth
from verify.comparison import errors
from verify.report import Section

N, LIMIT = 40, 1e-9


@dataclass(frozen=True)
class Case:
    """A model and its truth."""

    name: str
    model: GPR
    truth: truth.Exact


def _data() -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(7)
    X = rng.random((N, 2)) * [10, 1000] + [100, 0]
    return X, 50 + 3 * np.sin(X[:, 0]) + X[:, 1] / 100 + 0.3 * rng.standard_normal(N)


UNITS: dict[str, Any] = {
    "input_offset": [105.0, 500.0],
    "input_scale": [3.0, 300.0],
    "output_offset": 55.0,
    "output_scale": 4.0,
}


def _case(name: str, ours: Any, theirs: Any, noise: Any, mean: Basis = "none") -> Case:
    X, y = _data()
    model = GPR.from_parts(X, y, kernel=ours, noise_variance=noise, mean=mean, jitter=1e-8, **UNITS)
    found = truth.Exact(
        theirs, X, y, noise, mean=truth.Mean(mean), jitter=1e-8, units=truth.Units(**UNITS)
    )
    return Case(name, model, found)


def cases() -> Iterator[Case]:
    """Yield five models."""
    k, e, two = kernels, exact, [0, 1]
    yield _case("RBF", k.RBF(2, 1, [0.7, 1]), e.RBF(1, [0.7, 1], two), 1e-2)
    yield _case(
        "Matern32 + White",
        k.Matern32(2, 1, 0.9) + k.White(2, 1e-3),
        e.Matern32(1, 0.9, two) + e.White(1e-3),
        1e-4,
    )
    yield _case(
        "RatQuad * Linear + Bias",
        k.RatQuad(2, 1, 1, 0.6) * k.Linear(2) + k.Bias(2),
        e.RatQuad(1, 1, two, 0.6) * e.Linear(1, two) + e.Bias(1),
        1e-3,
    )
    yield _case(
        "Matern52, noise known per row",
        k.Matern52(2, 1, 0.9),
        e.Matern52(1, 0.9, two),
        np.linspace(1e-3, 0.1, N),
    )
    bases: tuple[Basis, ...] = ("constant", "linear")
    for basis in bases:
        yield _case(
            f"Matern52, estimated {basis}",
            k.Matern52(2, 1, 0.9),
            e.Matern52(1, 0.9, two),
            1e-3,
            basis,
        )


def check(case: Case, found: FloatArray, section: Section) -> None:
    """Add a row: the errors of mean and variance."""
    p = case.model.posterior
    prior = p.output_scale**2 * float(np.max(p.kernel.diagonal(p.X)))
    off = errors(found, case.truth.leave_one_out(), prior)
    cells = [section.check(f"{case.name}, {k}", v, LIMIT) for k, v in off._asdict().items()]
    section.rows.append([case.name, *cells])


def sections(
    closed_form: Callable[[Any], FloatArray] = leave_one_out,
) -> list[Section]:
    """Return the section of leave-one-out."""
    section = Section(
        "Leave-one-out",
        f"{N} rows. The truth conditions on every {N - 1} of them in 400-bit arithmetic, with the "
        "same hyperparameters, and estimates a mean's coefficients anew. Errors are measured as "
        f"those of kernels; the limit is {LIMIT:.0e}.",
        ["model", "mean", "variance"],
    )
    for case in cases():
        check(case, closed_form(case.model.posterior), section)
    return [section]
