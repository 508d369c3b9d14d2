"""Who may do what: the role that each route requires, and the limits of the caller's key."""

from __future__ import annotations

from typing import cast

import flask
from flask import Flask, g

from service.runtime.callers import Caller, Role, unauthorised
from service.runtime.keys import Keys
from service.runtime.ratelimits import Allowance, rate_headers
from service.services.errors import Problem
from service.web.hooks import current_request, current_runtime

OPEN = frozenset(
    {
        "api.healthz",
        "api.readyz",
        "api.metrics",
        "v2.live",
        "v2.ready",
    }
)
"""Probes and metrics, which no key protects: the ingress need not forward them."""

_REQUIRED: dict[str, Role] = {
    "api.predict": "predict",
    "v2.infer": "predict",
    "v2.infer_of_version": "predict",
    "umbridge.evaluate": "predict",
    "umbridge.gradient": "predict",
    "umbridge.apply_jacobian": "predict",
    "umbridge.apply_hessian": "predict",
    "jobs.train": "train",
    "versions.publish": "admin",
    "versions.activate": "admin",
}
"""What the other routes require is `read`."""


def required_role(endpoint: str) -> Role | None:
    """Return the role that a route requires, or None for a route that is open to all."""
    return None if endpoint in OPEN else _REQUIRED.get(endpoint, "read")


def install(app: Flask) -> None:
    """Check every request of the app before its route sees it."""
    app.before_request(_check)
    app.after_request(_add_headers)


def current_caller() -> Caller:
    """Return who sends this request."""
    return cast(Caller, g.caller)


def count_points(n: int) -> None:
    """Count the points of this request, if the caller's key has a limit of them.

    Raises `Problem`: 429 when it is reached, 413 for more points than it ever allows.
    """
    if counts_points():
        _take(current_runtime().rates.take(current_caller(), "points", n))


def counts_points() -> bool:
    """Whether the caller's key has a limit of points, so that a table's rows must be counted."""
    return current_caller().limits.points_per_second is not None


def _check() -> None:
    """Raise a `Problem`: 401, 403 or 429, for a caller who may not call this route now."""
    runtime, request = current_runtime(), current_request()
    if request.endpoint is None:
        return
    role = required_role(request.endpoint)
    if role is None:
        return
    authorization, keys = request.headers.get("Authorization", ""), runtime.keys
    g.caller = caller = keys.identify(authorization) if authorization else keys.anonymous
    if role not in caller.roles:
        raise _refusal(keys, caller, role)
    if caller.limits.requests_per_second is not None:
        _take(runtime.rates.take(caller, "requests"))


def _refusal(keys: Keys, caller: Caller, role: Role) -> Problem:
    if caller.known:
        roles = ", ".join(sorted(caller.roles)) or "none"
        by_password = "; as a password, a key counts for reading and predicting only"
        detail = f"this needs the role {role!r}, and {caller.owner!r} has: {roles}"
        is_basic = current_request().headers.get("Authorization", "")[:6].lower() == "basic "
        return Problem(403, detail + by_password * is_basic)
    if not keys.configured:
        return Problem(
            403,
            "training, publishing and activation are disabled: set GPSERVE_TOKEN or GPSERVE_KEYS",
        )
    g.ask_browser = role in ("read", "predict")
    return unauthorised(f"a key with the role {role!r} is required, as a bearer token")


def _take(allowance: Allowance | None) -> None:
    if allowance is not None:  # otherwise Redis does not answer
        g.setdefault("allowances", []).append(allowance)


def _add_headers(response: flask.Response) -> flask.Response:
    if g.get("ask_browser"):  # browsers want each challenge in a line of its own
        response.headers.add("WWW-Authenticate", 'Basic realm="gpserve", charset="UTF-8"')
    if allowances := g.get("allowances"):
        response.headers.extend(rate_headers(allowances))
    return response
