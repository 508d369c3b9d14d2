"""How many threads a fit takes."""

from __future__ import annotations

import pytest

from service.gpr import fitting


@pytest.mark.parametrize(
    ("rows", "inducing", "threads"), [(800, 0, 1), (2000, 0, 4), (100_000, 20, 1), (80_000, 50, 4)]
)
def test_only_large_matrices_are_worth_more_than_one_thread(
    rows: int, inducing: int, threads: int
) -> None:
    assert fitting.blas_threads(rows, inducing, cpus=4) == threads
