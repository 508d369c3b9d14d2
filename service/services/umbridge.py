"""UM-Bridge 1.0: from a call's JSON to points and vectors, and from arrays to its answers.

One GP is served as three models: ``name`` with one output vector [mean, variance], ``name-mean``
and ``name-variance`` with one number each, since samplers want one. With ``config {"n": N}`` a
call has N points: its input is N points one after the other, and so is its output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import numpy as np
from msgspec import Meta

from service.model import FloatArray, Model, Unsupported
from service.services.errors import UMBridgeError
from service.services.features import Features
from service.services.jsontext import reason, refuse_malformed
from service.services.points import Rows, refuse_too_many
from service.services.writing import array_pieces

PROTOCOL_VERSION = 1.0

Count = Annotated[int, Meta(ge=1, le=2**32)]


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The configuration of a call; R writes a number as a list of one."""

    n: Annotated[
        Count | Annotated[list[Count], Meta(min_length=1, max_length=1)],
        Meta(description="how many points the input vector holds, one after the other"),
    ] = 1
    noise: Annotated[
        bool | Annotated[list[bool], Meta(min_length=1, max_length=1)],
        Meta(description="false: the variance of the latent function, without noise"),
    ] = True

    @property
    def points(self) -> int:
        """How many points the call has."""
        return self.n if isinstance(self.n, int) else self.n[0]

    @property
    def noisy(self) -> bool:
        """Whether the variance is that of an observation."""
        return self.noise if isinstance(self.noise, bool) else self.noise[0]


Index = Annotated[int, Meta(description="the index of the vector, 0: there is only one")]


class Call(msgspec.Struct, rename="camel"):
    """The members of all calls; each call uses some of them."""

    name: Annotated[str, Meta(description="the model's name")]
    config: Config = msgspec.field(default_factory=Config)
    input: Annotated[list[list[float]], Meta(description="one vector: point after point")] = []
    out_wrt: Index = 0
    in_wrt: Index = 0
    in_wrt1: Index = 0
    in_wrt2: Index = 0
    sens: Annotated[list[float], Meta(description="the sensitivity, as long as the output")] = []
    vec: Annotated[list[float], Meta(description="the direction, as long as the input")] = []


class _Named(msgspec.Struct):
    name: str


class Evaluation(TypedDict):
    """The answer of ``/Evaluate``: one vector with mean, variance or both of each point in turn."""

    output: list[list[float]]


class Derivative(TypedDict):
    """The answer of a call for derivatives: one vector."""

    output: list[float]


_call = msgspec.json.Decoder(Call)
_named = msgspec.json.Decoder(_Named)
_encode = msgspec.json.Encoder().encode

_COLUMNS = {"": (0, 1), "-mean": (0,), "-variance": (1,)}
"""Which of mean and variance a model returns, by the suffix of its name."""


def invalid_input(detail: str) -> UMBridgeError:
    """Return a 400: the call cannot be used."""
    return UMBridgeError("InvalidInput", 400, detail)


Feature = Literal["Evaluate", "Gradient", "ApplyJacobian", "ApplyHessian"]


def read(body: bytes, model: Model, feature: Feature | None = None) -> Call:
    """Read a call of a model with this feature; check the name first, then the support.

    Raises `Problem`: 400 when the body is not JSON; `UMBridgeError`: ModelNotFound,
    UnsupportedFeature, InvalidInput.
    """
    try:
        call = _call.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        refuse_malformed(body)
        _check(_name_alone(body), model, feature)
        raise invalid_input(f"the call cannot be read: {reason(error)}") from None
    _check(call.name, model, feature)
    return call


def _name_alone(body: bytes) -> str:
    try:
        return _named.decode(body).name
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_input(f"the call is not a JSON object with a name: {error}") from None


def _check(name: str, model: Model, feature: Feature | None) -> None:
    columns_of(name, model)
    if feature and feature != "Evaluate" and not support(model)[feature]:
        raise UMBridgeError("UnsupportedFeature", 400, f"{name[:80]} does not support {feature}")


def model_names(model: Model) -> list[str]:
    """Return the names of the three models of one GP."""
    return [model.description.name + suffix for suffix in _COLUMNS]


def columns_of(name: str, model: Model) -> tuple[int, ...]:
    """Return which of mean and variance the model of this name returns."""
    base = model.description.name
    found = _COLUMNS.get(name[len(base) :]) if name.startswith(base) else None
    if found is None:
        listed = ", ".join(model_names(model))
        raise UMBridgeError(
            "ModelNotFound", 400, f"no such model: {name[:80]!r}; available: {listed}"
        )
    return found


@lru_cache(maxsize=1)
def support(model: Model) -> dict[str, bool]:
    """Return what the model supports, tried at the middle of its training range."""
    middle = model.description.points_across(3)[1:2]

    def can(derive: Any) -> bool:
        try:
            derive(middle)
        except Unsupported:
            return False
        return True

    first = can(model.gradient)
    second = can(model.hessian)
    return {"Evaluate": True, "Gradient": first, "ApplyJacobian": first, "ApplyHessian": second}


def rows(call: Call, features: Features, limit: int) -> Rows:
    """Return the points of a call: n rows of d numbers, at most `limit` of them.

    Raises `Problem`: 413 for more points, 400 for a wrong length, 422 for anything that is not a
    code of a categorical feature.
    """
    n, d = call.config.points, len(features.names)
    refuse_too_many(n, limit)
    if len(call.input) != 1:
        raise invalid_input(f"the model has one input vector, but {len(call.input)} are given")
    values = call.input[0]
    if len(values) != n * d:
        raise invalid_input(f"the input vector has length {len(values)}, expected {n * d}")
    points = [values] if n == 1 else [values[i : i + d] for i in range(0, n * d, d)]
    if features.codes:
        features.refuse_wrong_codes(np.array(points), 0)
    return points


def check_indices(**indices: int) -> None:
    """Raise an error for any index but 0: there is one input and one output vector."""
    for name, value in indices.items():
        if value != 0:
            raise invalid_input(f"{name} is {value}, but the model has one vector, with index 0")


def vector(values: list[float], name: str, n: int, width: int) -> FloatArray:
    """Return a direction or a sensitivity as n rows of `width` numbers."""
    if len(values) != n * width:
        raise invalid_input(f"{name} has length {len(values)}, expected {n * width}")
    return np.array(values).reshape(n, width)


def evaluated(P: FloatArray, columns: tuple[int, ...]) -> bytes:
    """Return the answer of Evaluate: mean and variance, or one of them, for each point."""
    output = [row[i] for row in P.tolist() for i in columns]
    _refuse_nonfinite(output)
    return _encode(Evaluation(output=[output]))


def evaluated_pieces(P: FloatArray, columns: tuple[int, ...]) -> Iterator[bytes]:
    """Return the same answer in pieces, for many points."""
    return _pieces(b'{"output":[', P[:, columns], b"]}")


def derived(values: FloatArray) -> Iterator[bytes]:
    """Return the answer of a call for derivatives in pieces: one vector."""
    return _pieces(b'{"output":', values, b"}")


def _pieces(head: bytes, values: FloatArray, tail: bytes) -> Iterator[bytes]:
    if not np.isfinite(values).all():
        raise _nonfinite()
    return chain([head], array_pieces(values.ravel()), [tail])


def _refuse_nonfinite(output: list[float]) -> None:
    if not all(map(math.isfinite, output)):
        raise _nonfinite()


def _nonfinite() -> UMBridgeError:
    return UMBridgeError("InvalidOutput", 500, "the model's output is not finite")


Columns = tuple[int, ...]


def gradient(model: Model, columns: Columns, X: FloatArray, sens: FloatArray) -> FloatArray:
    """Return Jᵀ·sens, shape (n, d), for sens of shape (n, k) and k columns of (mean, variance)."""
    J = model.gradient(X)[:, columns]
    return _product("sens", "nkd,nk->nd", J, sens)


def jacobian(model: Model, columns: Columns, X: FloatArray, vec: FloatArray) -> FloatArray:
    """Return J·vec, shape (n, k), for vec of shape (n, d)."""
    J = model.gradient(X)[:, columns]
    return _product("vec", "nkd,nd->nk", J, vec)


def hessian(
    model: Model, columns: Columns, X: FloatArray, sens: FloatArray, vec: FloatArray
) -> FloatArray:
    """Return (Σₖ sensₖ Hₖ)·vec, shape (n, d): the Hessian of the functional that sens makes."""
    H = model.hessian(X)[:, columns]
    return _product("sens or vec", "nkij,nk,nj->ni", H, sens, vec)


def _product(what: str, axes: str, derivatives: FloatArray, *given: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        product: FloatArray = np.asarray(np.einsum(axes, derivatives, *given))
    if not np.isfinite(product).all() and np.isfinite(derivatives).all():
        raise invalid_input(f"{what} is so large that the output is outside the range of float64")
    return product
