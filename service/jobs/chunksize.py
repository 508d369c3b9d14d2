"""How many rows a chunk has: as many as a worker predicts in a set time."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from service.model import Model
from service.services.options import Options
from service.services.prediction import Predict, columns

READ_SECONDS_PER_ROW = 10e-6
"""To read a row of a table and to write its numbers, besides predicting them."""

_MEASURED_SECONDS = 0.05


def rows_of_chunk(model: Model, options: Options, predict: Predict, seconds: float) -> int:
    """Rows that take about so many seconds, a multiple of the large tile."""
    row = _seconds_per_row(model, options, predict) + READ_SECONDS_PER_ROW
    return max(1, int(seconds / row / model.large_tile)) * model.large_tile


def _seconds_per_row(model: Model, options: Options, predict: Predict) -> float:
    """Measured with more and more rows, until they take long twice.

    Once may be a first call, or a neighbour's turn on the CPU: believed of a single row, that
    would cut a big job into thousands of chunks.
    """
    low, high = model.description.training_range.T

    def timed(count: int) -> float:
        X = np.linspace(low, high, count)
        started = perf_counter()
        columns(model, X, options, predict)
        return perf_counter() - started

    count = 1
    while True:
        took = timed(count)
        if took > _MEASURED_SECONDS:
            took = min(took, timed(count))
        if took > _MEASURED_SECONDS or 4 * count > model.large_tile:
            return took / count
        count *= 4
