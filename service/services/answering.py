"""From points to an answer: predict chunk by chunk, write piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from service.model import Model
from service.services import negotiation
from service.services import writing as answers
from service.services.chunks import Chunk, Source
from service.services.options import Options
from service.services.prediction import (
    Limits,
    Predict,
    column_names,
    columns,
    covariance,
    extrapolated,
    refuse_large_covariance,
    refuse_many_samples,
)
from service.services.problems import unusable
from service.services.writing import Answered, Layout

_WRITERS = {
    negotiation.JSON: answers.json_pieces,
    negotiation.CSV: answers.csv_pieces,
    negotiation.NPY: answers.npy_pieces,
    negotiation.NDJSON: answers.ndjson_pieces,
}


def needs_count(media_type: str) -> bool:
    """Whether an answer of this type begins with the number of its rows."""
    return media_type == negotiation.NPY


def pieces(
    model: Model,
    source: Source,
    options: Options,
    media_type: str,
    predict: Predict,
    limits: Limits,
) -> Iterator[bytes]:
    """The answer's bytes. What can be refused is refused before the first one.

    Raises
    ------
    Problem
        413 and 422 for options that the points or the model do not allow.
    """
    known = 1 if source.shape is None else int(np.prod(source.shape))
    refuse_many_samples(options, known, limits)
    layout = layout_of(source, options, model.description.feature_names)
    chunks = source.chunks
    if options.covariance:
        chunks = _with_covariance(model, chunks, options, media_type, limits, layout)
    return written(layout, answered(model, chunks, options, predict, limits), media_type)


def layout_of(source: Source, options: Options, features: tuple[str, ...]) -> Layout:
    """The answer's columns."""
    return Layout(
        source.columns,
        column_names(features, options),
        features,
        source.shape,
        source.delimiter,
        mark=options.extrapolated,
        reasons=options.on_bad_row == "nan",
        gradient=options.gradient,
        samples=options.samples,
    )


def written(layout: Layout, answers: Iterator[Answered], media_type: str) -> Iterator[bytes]:
    """The answer's bytes in the form that was asked for; the first piece is ready."""
    return _started(_WRITERS[media_type](layout, answers))


def _started(answer: Iterator[bytes]) -> Iterator[bytes]:
    """Compute the first piece now, so that its problem is a status and not a broken answer."""
    first = next(answer, b"")

    def resumed() -> Iterator[bytes]:
        yield first
        yield from answer

    return resumed()


def answered(
    model: Model, chunks: Iterator[Chunk], options: Options, predict: Predict, limits: Limits
) -> Iterator[Answered]:
    """Each chunk with its numbers; bad rows get NaN."""
    for chunk in chunks:
        refuse_many_samples(options, len(chunk.X), limits)
        values = columns(model, chunk.X, options, predict)
        outside = extrapolated(model, chunk.X)
        if chunk.errors:
            bad = list(chunk.errors)
            values = values.copy()
            values[bad] = np.nan
            outside[bad] = False
        yield Answered(chunk, values, outside)


def _with_covariance(
    model: Model,
    chunks: Iterator[Chunk],
    options: Options,
    media_type: str,
    limits: Limits,
    layout: Layout,
) -> Iterator[Chunk]:
    if media_type != negotiation.JSON:
        raise unusable("covariance=true is answered as JSON only", option="covariance")
    whole: list[Chunk] = []
    for chunk in chunks:
        whole.append(chunk)
        refuse_large_covariance(sum(len(part.X) for part in whole), limits)
    if any(chunk.errors for chunk in whole):
        raise unusable("covariance=true needs every row to be good", option="covariance")
    X = np.concatenate([chunk.X for chunk in whole])
    layout.extra["covariance"] = _square(covariance(model, X, options), layout)
    return iter(whole)


def _square(K: Any, layout: Layout) -> Any:
    return K.item() if layout.shape == () else K.tolist()
