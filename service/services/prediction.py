"""From points and options to the numbers of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from statistics import NormalDist
from typing import Protocol

import msgspec
import numpy as np

from service.model import BoolArray, FloatArray, Model, Unsupported
from service.services.chunks import Answered, Chunk
from service.services.errors import too_large, unusable
from service.services.negotiation import JSON
from service.services.options import Options

Predict = Callable[[Model, FloatArray, bool], FloatArray]
"""Mean and variance of (model, X, noise): the model's own, or one that uses all CPUs."""


class Derive(Protocol):
    """A call of a function of arrays: at once, or of few of their rows after the other."""

    def __call__(self, function: Callable[..., FloatArray], /, *arrays: FloatArray) -> FloatArray:
        """Return the values at all rows."""


def at_once(function: Callable[..., FloatArray], /, *arrays: FloatArray) -> FloatArray:
    """Call the function with the whole arrays."""
    return function(*arrays)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may ask for beyond mean and variance."""

    covariance_points: int
    sample_values: int


NUMBERS_PER_VALUE = 32
"""Numbers of pathwise draws (`Model.draw_size`) that a request may have for each sample value that
it may have. One takes a small part of a value's time, so that the most draws are made in a few
seconds, like the most values."""


def column_names(features: Sequence[str], options: Options) -> list[str]:
    """Return the names of `column_values`, in order."""
    names = ["mean", "variance"]
    if options.interval is not None:
        names += ["lower", "upper"]
    if options.gradient:
        names += [f"{part}_gradient_{f}" for part in ("mean", "variance") for f in features]
    return names + [f"sample_{i + 1}" for i in range(options.samples)]


def column_values(
    model: Model, X: FloatArray, options: Options, predict: Predict, derive: Derive = at_once
) -> FloatArray:
    """Return the numbers that were asked for, shape (n, len(column_names)).

    Raises `Problem`: 422 when the model has no gradient or samples.
    """
    P = predict(model, X, options.noise)
    parts = [P]
    try:
        if options.interval is not None:
            # The central interval of a normal distribution, by its lower tail: (1 + p) / 2 can
            # round to 1, whose quantile is infinite.
            z = -NormalDist().inv_cdf((1 - options.interval) / 2)
            half = z * np.sqrt(P[:, 1:])
            parts.append(np.hstack([P[:, :1] - half, P[:, :1] + half]))
        if options.gradient:
            parts.append(derive(model.gradient, X).reshape(len(X), -1))
        if options.samples:
            draws = model.samples(X, options.samples, options.seed, pathwise=options.pathwise)
            parts.append(draws.T)
    except Unsupported as error:
        raise unusable(str(error)) from None
    return P if len(parts) == 1 else np.hstack(parts)


def answered(
    model: Model,
    chunks: Iterator[Chunk],
    options: Options,
    predict: Predict,
    limits: Limits,
    derive: Derive = at_once,
) -> Iterator[Answered]:
    """Yield each chunk with its numbers; bad rows get NaN."""
    if options.samples:
        chunks, options = _drawn(model, chunks, options)
    names = column_names(model.description.feature_names, options)
    for chunk in chunks:
        if not len(chunk.X):  # a part of which every row is left out
            yield Answered(chunk, np.empty((0, len(names))), np.empty(0, dtype=bool))
            continue
        refuse_many_samples(model, options, len(chunk.X), limits)
        values = column_values(model, chunk.X, options, predict, derive)
        outside = extrapolated(model, chunk.X)
        if chunk.errors:
            bad = list(chunk.errors)
            values = values.copy()
            values[bad] = np.nan
            outside[bad] = False
        yield Answered(chunk, values, outside)


def _drawn(
    model: Model, chunks: Iterator[Chunk], options: Options
) -> tuple[Iterator[Chunk], Options]:
    """Look at the first two chunks: draws of more than one must be functions of x."""
    first = list(islice(chunks, 2))
    whole = len(first) < 2 and all(len(chunk.X) <= model.exact_draws for chunk in first)
    return chain(first, chunks), options if whole else as_functions(options)


def as_functions(options: Options) -> Options:
    """Return the options with draws that do not depend on how the points are cut."""
    return msgspec.structs.replace(options, pathwise=True) if options.samples else options


def covariance(model: Model, X: FloatArray, options: Options) -> FloatArray:
    """Return the joint covariance, shape (n, n); raise a `Problem` 422 when the model has none."""
    try:
        return model.covariance(X, noise=options.noise)
    except Unsupported as error:
        raise unusable(str(error)) from None


def refuse_large_covariance(n: int, limits: Limits) -> None:
    """Raise a `Problem` 413 when n points are too many for a joint covariance."""
    if n > limits.covariance_points:
        raise too_large(
            f"covariance=true takes at most {limits.covariance_points} points",
            limit=limits.covariance_points,
        )


def refuse_covariance_as(media_type: str) -> None:
    """Raise a `Problem` 422 for a joint covariance in anything but JSON."""
    if media_type != JSON:
        raise unusable("covariance=true is available as JSON only", option="covariance")


def refuse_many_samples(model: Model, options: Options, n: int, limits: Limits) -> None:
    """Raise a `Problem` 413 when n points times the draws, or the draws, are more than a limit."""
    count = options.samples
    if count * n > limits.sample_values:
        raise too_large(
            f"{count} samples of {n} points are more than {limits.sample_values} values: send "
            "fewer points at a time, with the same seed",
            limit=limits.sample_values,
        )
    if count > 1 and (options.pathwise or n > model.exact_draws):
        most = max(1, NUMBERS_PER_VALUE * limits.sample_values // max(1, model.draw_size))
        if count > most:
            kind = "pathwise" if options.pathwise else f"of more than {model.exact_draws} points"
            raise too_large(
                f"{count} samples are more than {most}, the most {kind} that this model draws in "
                "one request: ask for the others with another seed",
                limit=most,
                option="samples",
            )


def extrapolated(model: Model, X: FloatArray) -> BoolArray:
    """Return which points are outside the training range of any feature, shape (n,)."""
    low, high = model.description.training_range.T
    beyond = (low > X) | (high < X)
    return beyond.any(axis=1) if np.count_nonzero(beyond) else np.zeros(len(X), dtype=bool)
