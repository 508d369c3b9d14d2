"""Which data cannot train a model: refused before they become a job."""

from __future__ import annotations

import re

import numpy as np

from service.gpr.kernels import FORMS
from service.gpr.trainingdata import (
    EXACT_ROWS,
    TrainingData,
    TrainingDataError,
    read_training_data,
)
from service.jobs.specs import Training
from service.model import check_feature_names
from service.services.body import starts_like_gzip
from service.services.problems import Where, unusable

_LINE = re.compile(r"line (\d+)")


def read_table(data: bytes, spec: Training) -> TrainingData:
    """Read the table of a training.

    Raises `Problem`: 422 with the reasons, for data that cannot train a model: too few or too many
    rows, a constant column, cells that are not finite numbers (with the first ``line``).
    """
    if starts_like_gzip(data):
        raise unusable("the table looks gzipped: send 'Content-Encoding: gzip' with it")
    try:
        table = read_training_data(data, "the table", spec.target, spec.features)
        check_feature_names(table.feature_names, table.X.shape[1])
    except TrainingDataError as error:
        line = _LINE.search(str(error))
        where: Where = {"line": int(line[1])} if line else {}
        raise unusable(str(error), **where) from None
    except ValueError as error:
        raise unusable(str(error)) from None
    served = [*FORMS, "Bias", "White"]
    unknown = [name for part in spec.kernel.split("+") if (name := part.strip()) not in served]
    if unknown:
        raise unusable(
            f"unknown kernel {unknown[0][:40]!r}; kernels: {', '.join(served)}, and their sums",
            option="kernel",
        )
    constant = np.flatnonzero(np.ptp(table.X, axis=0) == 0)
    if constant.size:
        name = table.feature_names[int(constant[0])]
        raise unusable(f"the input {name!r} is constant: leave it out", feature=name)
    rows = round(len(table.y) * (1 - spec.held_out))
    if not spec.inducing and rows > EXACT_ROWS:
        raise unusable(
            f"{rows} rows are too many for an exact GP (at most {EXACT_ROWS}): use inducing "
            "inputs, for instance inducing=200",
            option="inducing",
        )
    return table
