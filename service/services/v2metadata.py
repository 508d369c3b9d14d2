"""What the Open Inference Protocol v2 says of the server and of its model."""

from __future__ import annotations

from typing import Any

from service import __version__
from service.model import Model
from service.runtime.metrics import Totals
from service.services.problems import Problem
from service.services.v2 import inputs

HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that says where the JSON of a body ends and its bytes begin."""

EXTENSIONS = ("binary_tensor_data", "model_repository", "statistics")


def server() -> dict[str, Any]:
    """The server's name, version and extensions."""
    return {"name": "gpserve", "version": __version__, "extensions": list(EXTENSIONS)}


def refuse_unknown(model: Model, name: str, version: str | None) -> None:
    """Raise a `Problem` 404 when another model, or another version, is meant."""
    served = model.description
    if name != served.name:
        raise Problem(404, f"no model {name[:80]!r} here, {served.name!r} is")
    if version is not None and version != served.version:
        raise Problem(404, f"{name} is served in version {served.version}, not {version[:80]!r}")


def model(model: Model) -> dict[str, Any]:
    """The model's inputs and outputs; -1 is the number of points."""
    served = model.description
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": "gpserve",
        "inputs": [_tensor(name, width) for name, width in inputs(served.feature_names)],
        "outputs": [_tensor("mean", 1), _tensor("variance", 1)],
    }


def _tensor(name: str, width: int) -> dict[str, Any]:
    return {"name": name, "datatype": "FP64", "shape": [-1, width]}


def repository(model: Model, reason: str) -> list[dict[str, str]]:
    """The index of models: the one that is served, and the reason why it is not ready, if any."""
    served = model.description
    state = "UNAVAILABLE" if reason else "READY"
    return [{"name": served.name, "version": served.version, "state": state, "reason": reason}]


def statistics(model: Model, totals: Totals) -> dict[str, Any]:
    """What has been predicted since the start; a part that is not measured counts 0 times."""
    served = model.description
    measured = {"count": totals.products, "ns": round(totals.seconds * 1e9)}
    unmeasured = {"count": 0, "ns": 0}
    parts = dict.fromkeys(("fail", "queue", "compute_input", "compute_output"), unmeasured)
    return {
        "model_stats": [
            {
                "name": served.name,
                "version": served.version,
                "last_inference": 0,
                "inference_count": totals.points,
                "execution_count": totals.products,
                "inference_stats": {"success": measured, "compute_infer": measured, **parts},
                "batch_stats": [],
            }
        ]
    }
