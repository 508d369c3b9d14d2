"""The options of a prediction, from the query string, a form, or JSON; those of an activation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, replace

from service.services.errors import unusable

T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller asks of a prediction besides mean and variance."""

    noise: Annotated[
        bool, Meta(description="false: the variance of the latent function, without noise")
    ] = True
    interval: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None,
        Meta(description="adds `lower` and `upper`, the central interval with this probability"),
    ] = None
    gradient: Annotated[
        bool,
        Meta(description="adds the derivatives of mean and variance with respect to each feature"),
    ] = False
    covariance: Annotated[bool, Meta(description="adds the joint covariance of all points")] = False
    samples: Annotated[
        int, Meta(ge=0, description="adds this many joint draws of the latent function")
    ] = 0
    seed: Annotated[int, Meta(ge=0, le=2**53, description="the same seed gives the same draws")] = 0
    pathwise: Annotated[
        bool,
        Meta(
            description="makes the draws functions of the point, the same however the points are "
            "cut; otherwise they are exact for up to 1000 points"
        ),
    ] = False
    on_bad_row: Annotated[
        Literal["fail", "nan", "drop"],
        Meta(
            description="a bad CSV row, as one with a missing value, fails the request, is "
            "answered NaN with the reason, or is left out"
        ),
    ] = "fail"
    columns: Annotated[
        str,
        Meta(
            description="the columns of a CSV table that hold the features: names in the order of "
            "the features, or `feature=column` for those that differ, with commas between them"
        ),
    ] = ""
    decimal: Annotated[
        Literal["auto", "point", "comma"],
        Meta(
            description="the decimal sign of a CSV table; auto: a comma where the delimiter is "
            "another sign and the first rows show it"
        ),
    ] = "auto"
    extrapolated: Annotated[
        bool, Meta(description="adds a CSV column that marks points outside the training range")
    ] = False

    @property
    def plain(self) -> bool:
        """Whether the caller asks for mean and variance only."""
        return self in (PLAIN, LATENT)


class Activation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of an activation."""

    force: Annotated[bool, Meta(description="activate it even if its scores are clearly worse")] = (
        False
    )


class Publication(Activation, frozen=True, forbid_unknown_fields=True):
    """The options of a publication."""

    activate: Annotated[bool, Meta(description="serve it at once, if it is not clearly worse")] = (
        False
    )


NAMES = frozenset(Options.__struct_fields__)
PLAIN = Options()
LATENT = Options(noise=False)


def once(fields: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Return the options by name; raise a `Problem` 422 for one that is given twice."""
    given: dict[str, T] = {}
    for name, value in fields:
        if name in given:
            raise unusable(f"option {name!r} is given twice", option=name)
        given[name] = value
    return given


def with_query(body: Options, query: Mapping[str, str]) -> Options:
    """Return the options of a body with those of its query; raise a `Problem` 422 as `once`."""
    plain = asdict(PLAIN)
    in_body = [(name, value) for name, value in asdict(body).items() if value != plain[name]]
    once([*in_body, *query.items()])
    given = read(query, text=True)
    return replace(body, **{name: getattr(given, name) for name in query})


def read(values: Mapping[str, object], *, text: bool) -> Options:
    """Return the options with these names and values; `text` when the values are strings.

    Raises `Problem`: 422, with the option's name in ``option``.
    """
    return converted(values, Options, text=text) if values else PLAIN


def converted(values: Mapping[str, object], kind: type[T], *, text: bool) -> T:
    """Return a struct with these fields; raise a `Problem` 422 that names the wrong one."""
    try:
        return msgspec.convert(values, kind, strict=not text)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise unusable(f"option {name!r}: {reason}", option=name) from None
