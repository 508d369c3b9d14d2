"""The service beside the truth; `make verify` asks more, of more models."""

from __future__ import annotations

from verify import coordinates, kernels
from verify.report import Section


def test_every_kernel_and_mean() -> None:
    """At a condition number of 1e7 within a relative 1e-9."""
    section = Section("", "", [])
    for case in kernels.cases():
        kernels.check_answers(case, section)
    assert len(section.rows) > 15
    assert not section.failures


def test_dates_coordinates_and_tiny_outputs() -> None:
    section = Section("", "", [])
    for case in coordinates.cases():
        coordinates.check(case, case.publish(), section)
    assert len(section.rows) == 2 * len(coordinates.CASES)
    assert not section.failures
