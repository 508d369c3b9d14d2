"""Small requests that the event loop answers itself, without Flask: which, and how.

Flask spends 300 microseconds on routing and objects for a request of one point, these routes 20.
Both call the same functions to read points, predict and write answers, so each rule exists once.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple
from urllib.parse import parse_qsl

import numpy as np

from service.asgi.exchange import DirectRequest, Scope
from service.asgi.transport import Headers, Response
from service.model import Model
from service.runtime.batching import Waiting
from service.runtime.callers import Role
from service.runtime.runtime import Runtime
from service.services import umbridge as umbridgecalls
from service.services import v2 as v2calls
from service.services import writing
from service.services.body import length_in
from service.services.chunks import refuse_unusable
from service.services.features import features_of
from service.services.jsonpoints import read_json
from service.services.negotiation import JSON_ACCEPTS
from service.services.points import Rows, read_fields
from service.services.v2tensors import Inference, write
from service.web.headers import refuse_other_version

SMALL_BODY = 16 << 10
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})
_BODY_OR_PREFERENCE = frozenset({b"content-length", b"transfer-encoding", b"prefer"})

_HEAD_END = b"\r\n\r\n"
_ID = b"x-request-id"
_ID_LINE = b"\r\nx-request-id: "
_VISIBLE = re.compile(rb"[!-~]+")
_MOST_KNOWN = 256
_MOST_SEEN = 4096
_LONGEST_KNOWN = 2048
_SCOPE = (
    *("type", "asgi", "http_version", "server", "client", "scheme", "root_path", "headers"),
    *("method", "path", "raw_path", "query_string"),
)
"""What uvicorn writes into the scope of a request; others add what belongs to one request."""


class Asked(NamedTuple):
    """What a request asks of a model, and how its answer is written once it is there."""

    model: Model
    rows: Rows
    noise: bool
    write: Callable[[Waiting], Response]


class FastRoute(ABC):
    """A path whose small requests are answered on the event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    role: Role = "predict"
    """What the caller's key must allow."""

    @abstractmethod
    def accepts(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether a request is small, as far as its head shows."""

    @abstractmethod
    def read(self, request: DirectRequest, body: bytes) -> Asked | None:
        """Read a request; None if it needs more than the event loop can give.

        Raises `Problem`: the request cannot be answered.
        """


class FastPredict(FastRoute):
    """`/predict`: few points as JSON or in the query string, answered as JSON."""

    def accepts(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether the request asks for JSON and has the length of a few points."""
        if headers.get(b"accept", b"").decode("latin-1") not in JSON_ACCEPTS:
            return False
        if scope["method"] == "GET":
            return not _BODY_OR_PREFERENCE & headers.keys()
        return (
            _is_small_post(scope, headers)
            and headers.get(b"content-type", b"application/json") in _JSON_TYPES
            and not scope["query_string"]
            and b"prefer" not in headers
        )

    def read(self, request: DirectRequest, body: bytes) -> Asked | None:
        """Read points for mean and variance; None for an option or for many points."""
        runtime = self._runtime
        model = runtime.live.model
        features = features_of(model)
        refuse_other_version(request.header(b"if-match"), model.description.version)
        if request.method == "GET":
            query = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
            read = read_fields(query, features)
        else:
            read = read_json(body, features)
        n = len(read.rows)
        if not read.options.plain or n >= model.large_tile or n > runtime.settings.max_points:
            return None
        write = partial(_write_points, request, model, read.shape)
        return Asked(model, read.rows, read.options.noise, write)


class FastEvaluate(FastRoute):
    """`/Evaluate`: UM-Bridge's call, whose clients send JSON under any Content-Type, or none."""

    def accepts(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether the request has the length of one point."""
        return _is_small_post(scope, headers)

    def read(self, request: DirectRequest, body: bytes) -> Asked | None:
        """Read the input, at which the outputs are asked for."""
        runtime = self._runtime
        model = runtime.live.model
        refuse_other_version(request.header(b"if-match"), model.description.version)
        call = umbridgecalls.read(body, model, "Evaluate")
        columns = umbridgecalls.columns_of(call.name, model)
        rows = umbridgecalls.rows(call, features_of(model), runtime.settings.max_points)
        return Asked(
            model, rows, call.config.noisy, partial(_write_outputs, request, model, columns)
        )


class FastInfer(FastRoute):
    """`/v2/models/{name}/infer`: few points as JSON or binary tensors, of the served model."""

    def accepts(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether the request has the length of a few points, and its JSON an end in it."""
        if not _is_small_post(scope, headers):
            return False
        length = length_in(headers.get(_HEADER_LENGTH, b"0"))
        return length is not None and length <= int(headers[b"content-length"])

    def read(self, request: DirectRequest, body: bytes) -> Asked | None:
        """Read points for mean and variance; None for gradients, many points, another model."""
        runtime = self._runtime
        model = runtime.live.model
        if request.path not in v2calls.paths(model):
            return None
        refuse_other_version(request.header(b"if-match"), model.description.version)
        text, raw = body, None
        if length := request.header(_HEADER_LENGTH):
            text, raw = body[: int(length)], body[int(length) :]
        features = features_of(model)
        asked, X = v2calls.read_request(text, raw, features, runtime.settings.max_points)
        if v2calls.needs_gradient(asked, len(features.names)) or len(X) >= model.large_tile:
            return None
        rows = np.asarray(X, dtype=np.float64)
        refuse_unusable(rows, features, 0)
        noise = asked.parameters.noise
        return Asked(model, rows.tolist(), noise, partial(_write_tensors, request, model, asked))


_HEADER_LENGTH = v2calls.HEADER_LENGTH.lower().encode()


def _write_points(
    request: DirectRequest, model: Model, shape: tuple[int, ...], done: Waiting
) -> Response:
    document = writing.few_points(done.P, done.outside, shape)
    return request.response(document, _headers(model, request, done))


def _write_outputs(
    request: DirectRequest, model: Model, columns: tuple[int, ...], done: Waiting
) -> Response:
    document = umbridgecalls.evaluated(done.P, columns)
    return request.response(document, _headers(model, request, done))


def _write_tensors(
    request: DirectRequest, model: Model, asked: Inference, done: Waiting
) -> Response:
    outputs, members = v2calls.outputs(asked, done.P, done.outside[:, np.newaxis])
    length, pieces = write(v2calls.head(model, asked.id or request.id, members), outputs)
    headers, document = _headers(model, request, done), b"".join(pieces)
    if length is None:
        return request.response(document, headers)
    headers.append((_HEADER_LENGTH, str(length).encode()))
    return request.response(document, headers, media_type="application/octet-stream")


def _is_small_post(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    length = length_in(headers.get(b"content-length", b""))
    return (
        scope["method"] == "POST"
        and length is not None
        and length <= SMALL_BODY
        and b"content-encoding" not in headers
    )


class Head(NamedTuple):
    """What the head of a small request says, and the length of its body."""

    scope: Scope
    headers: dict[bytes, bytes]
    route: FastRoute
    template: str
    length: int

    def with_id(self, value: bytes) -> Head:
        """Return this head, in a scope of its own, with another value of X-Request-ID."""
        if not value:
            return self._replace(scope=dict(self.scope))
        lines = [(name, value if name == _ID else v) for name, v in self.scope["headers"]]
        scope = {**self.scope, "headers": lines}
        return self._replace(scope=scope, headers={**self.headers, _ID: value})


class Start(NamedTuple):
    """The bytes that a request starts with: its head without the value of X-Request-ID, and that.

    `length` is that of the whole head.
    """

    text: bytes
    id: bytes
    length: int


class KnownHeads:
    """Heads that have been parsed twice: clients send the same one with every request.

    The same bytes say the same, so they need no parser. Proxies add an id to each request, which
    may be another one. A head with credentials is not kept.
    """

    def __init__(self, longest: int) -> None:
        self._longest = min(longest, _LONGEST_KNOWN)
        self._heads: dict[bytes, Head] = {}
        self._seen: set[int] = set()

    def start(self, data: bytes) -> Start | None:
        """Return how a request starts, if its head is whole and not too long to be known."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        if end < len(_HEAD_END) or end > self._longest:
            return None
        text = data[:end]
        begin = text.lower().find(_ID_LINE) + len(_ID_LINE)
        if begin < len(_ID_LINE):
            return Start(text, b"", end)
        value = text[begin : text.index(b"\r", begin)]
        if not _VISIBLE.fullmatch(value):
            return Start(text, b"", end)
        # No head has a NUL, so this one differs from that with an empty id.
        return Start(text[:begin] + b"\0" + text[begin + len(value) :], value, end)

    def get(self, start: Start, data: bytes) -> Head | None:
        """Return the head if it is known and the data are one whole request."""
        head = self._heads.get(start.text)
        return head if head is not None and start.length + head.length == len(data) else None

    def add(self, start: Start, data: bytes, head: Head) -> None:
        """Keep a head that the parser has found in these data, and nothing after its body."""
        if (key := hash(start.text)) not in self._seen:
            _clear_if_full(self._seen, _MOST_SEEN)
            self._seen.add(key)
        elif (
            start.length + head.length == len(data)
            and start.id == head.headers.get(_ID, start.id)
            and b"content-length" in head.headers
            and b"authorization" not in head.headers
        ):
            _clear_if_full(self._heads, _MOST_KNOWN)
            scope = {key: head.scope[key] for key in _SCOPE}
            self._heads[start.text] = head._replace(scope=scope)


def _clear_if_full(kept: set[int] | dict[bytes, Head], most: int) -> None:
    if len(kept) >= most:
        kept.clear()


class FastRoutes:
    """The route of each path that has one.

    Attributes
    ----------
    known : heads that were parsed before
    """

    def __init__(self, runtime: Runtime) -> None:
        self._exact = {"/predict": FastPredict(runtime), "/Evaluate": FastEvaluate(runtime)}
        self._infer = FastInfer(runtime)
        self.known = KnownHeads(runtime.settings.max_header_bytes)

    def head(self, scope: Scope) -> Head | None:
        """Return what a head says, or None if Flask must answer it."""
        path = scope["path"]
        route = self.of(path)
        if route is None:
            return None
        headers = dict(scope["headers"])
        repeated = len(headers) != len(scope["headers"])  # Flask combines such headers
        if repeated or not route.accepts(scope, headers):
            return None
        length = int(headers.get(b"content-length", b"0"))
        return Head(scope, headers, route, self.template(path), length)

    def of(self, path: str) -> FastRoute | None:
        """Return the route of a path."""
        if path.startswith("/v2/models/"):
            return self._infer if path.endswith("/infer") else None
        return self._exact.get(path)

    def template(self, path: str) -> str:
        """Return the template by which requests of a path are counted, as Flask has it."""
        if path in self._exact:
            return path
        if self.of(path) is None:
            return "unmatched"
        version = "/versions/<version>" if "/versions/" in path else ""
        return f"/v2/models/<model:name>{version}/infer"


def _headers(model: Model, request: DirectRequest, done: Waiting) -> Headers:
    """The model's version, and the time that the parts of a prediction took."""
    timing = (
        f"parse;dur={(request.begun - request.arrived) * 1e3:.3f}, "
        f"queue;dur={done.waited * 1e3:.3f}, predict;dur={done.took * 1e3:.3f}"
    )
    return [*_version_headers(model.description.version), (b"server-timing", timing.encode())]


@lru_cache(maxsize=4)
def _version_headers(version: str) -> Headers:
    return [
        (b"x-model-version", version.encode()),
        (b"etag", f'"{version}"'.encode()),
        (b"vary", b"Accept"),
    ]
