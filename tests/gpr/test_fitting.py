"""How a table is divided, fitted and scored, and how many threads a fit takes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.gpr import fitting
from service.gpr.trainingdata import (
    TrainingData,
    TrainingDataError,
    TrainingOptions,
    check_table,
)
from tests.gpr import oracle


@pytest.mark.parametrize(
    ("rows", "inducing", "threads"), [(800, 0, 1), (2000, 0, 4), (100_000, 20, 1), (80_000, 50, 4)]
)
def test_only_large_matrices_are_worth_more_than_one_thread(
    rows: int, inducing: int, threads: int
) -> None:
    assert fitting.blas_threads(rows, inducing, cpus=4) == threads


def _table(n: int = 40, **fields: Any) -> TrainingData:
    X, y = oracle.data(n, 2)
    return TrainingData(X, y[:, 0], ("a", "b"), "y", "0" * 64, **fields)


def test_the_served_model_has_all_rows_and_the_hyperparameters_of_those_that_were_scored() -> None:
    table = _table()
    served = fitting.fit_and_score(table, TrainingOptions(restarts=1))
    scored = fitting.fit_and_score(table, TrainingOptions(restarts=1, held_out_only=True))
    assert (served.posterior.training_points, scored.posterior.training_points) == (40, 32)
    assert served.description.hyperparameters == scored.description.hyperparameters
    assert served.posterior.output_scale == scored.posterior.output_scale
    _, unseen = fitting.split(40, 0.2)
    observed, *answers = served.posterior.held_out.T
    assert np.array_equal(observed, table.y[unseen])
    np.testing.assert_allclose(np.column_stack(answers), scored.predict(table.X[unseen]))
    assert np.array_equal(served.posterior.held_out, scored.posterior.held_out)


def test_inputs_far_from_zero_can_be_served_with_all_rows() -> None:
    table = _table()
    moved = replace(table, X=1e6 + 1e-3 * table.X)
    near, far = (fitting.fit_and_score(t, TrainingOptions(restarts=1)) for t in (table, moved))
    np.testing.assert_allclose(far.predict(moved.X), near.predict(table.X), atol=1e-5)


def test_held_out_rows_with_known_noise_are_scored_with_it() -> None:
    noise = np.full(40, 0.01)
    found = fitting.fit_and_score(_table(noise=noise), TrainingOptions(restarts=1))
    _, unseen = fitting.split(40, 0.2)
    trained = fitting.fit_and_score(
        _table(noise=noise), TrainingOptions(restarts=1, held_out_only=True)
    )
    alone = trained.predict(_table().X[unseen])[:, 1]
    np.testing.assert_allclose(found.posterior.held_out[:, 2], alone + 0.01)


@pytest.mark.parametrize("n", range(10, 60))
def test_a_table_is_refused_where_its_parts_are_too_small(n: int) -> None:
    """What is checked before the table is divided is what the division gives."""
    options = TrainingOptions(held_out=0.9)
    known, _ = fitting.split(n, options.held_out)
    too_few = f"{len(known)} of {n} rows are left to train on; at least 5"
    with pytest.raises(TrainingDataError, match=too_few) if len(known) < 5 else nullcontext():
        check_table(_table(n), options)


def test_at_least_one_row_is_held_out() -> None:
    known, unseen = fitting.split(10, 0.01)
    assert (len(known), len(unseen)) == (9, 1)


def test_a_note_names_a_constant_input() -> None:
    X = np.column_stack([np.arange(12.0), np.full(12, 0.3)])
    X[::2, 1] = 0.1 + 0.2
    table = TrainingData(X, X[:, 0], ("a", "b"), "y", "0" * 64)
    assert fitting.notes(table) == ["The input 'b' is constant: it has no effect on the answers."]
    assert fitting.notes(_table()) == []
