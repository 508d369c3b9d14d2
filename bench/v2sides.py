"""The model servers that are compared, and a check that their answers are GPR's."""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import dataclass
from math import isclose
from typing import Any
from urllib.request import Request, urlopen

from bench import wrk
from bench.places import CLIENT_CORE, ROOT, pinned, python
from bench.servers import GPSERVE, Running, model_file

POINT = [0.1, 0.2, 0.3, 0.4]
_INFER = "/v2/models/gp/infer"
_BENTO = ["-m", "bentoml", "serve", "bench.peers.bentoml_server:Surrogate", "--host", "127.0.0.1"]


@dataclass(frozen=True)
class Server:
    """How a server starts; GRPC_PORT stands for a second port."""

    arguments: list[str]
    ready: str


SERVERS = {
    "gpserve": Server(GPSERVE, "/readyz"),
    "mlserver": Server(
        ["-m", "bench.peers.mlserver_server", "PORT", "GRPC_PORT"], "/v2/models/gp/ready"
    ),
    "litserve": Server(["-m", "bench.peers.litserve_server", "PORT"], "/health"),
    "bentoml": Server([*_BENTO, "--port", "PORT"], "/readyz"),
}


@dataclass(frozen=True)
class Way:
    """A way to ask a server for a point: a dialect of requests.lua, or gRPC."""

    title: str
    server: str
    dialect: str
    path: str = "/predict"


WAYS = {
    "json": Way("**gpserve**, v2 as JSON", "gpserve", "v2", _INFER),
    "binary": Way("**gpserve**, v2 with binary tensors", "gpserve", "v2binary", _INFER),
    "mlserver": Way("MLServer, v2 as JSON", "mlserver", "v2", _INFER),
    "grpc": Way("MLServer, v2 over gRPC", "mlserver", "grpc"),
    "native": Way("**gpserve**, `/predict`", "gpserve", "native"),
    "litserve": Way("LitServe", "litserve", "native"),
    "bentoml": Way("BentoML", "bentoml", "native"),
}


def grpc_load(port: int, connections: int, seconds: float) -> dict[str, Any]:
    """Return what the client of MLServer's gRPC prints: see its file."""
    module, address = "bench.peers.mlserver_grpc", f"127.0.0.1:{port}"
    command = [python("mlserver"), "-m", module, address, str(connections), str(seconds)]
    done = subprocess.run(
        pinned(CLIENT_CORE, command), cwd=ROOT, capture_output=True, text=True, check=True
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed | {"load": wrk.Load(**printed["load"])}


def refuse_different_answers(servers: dict[str, Running], grpc_port: int, size: int) -> None:
    """Raise an error unless each way gives the mean and variance of the service's own `GPR`."""
    expected = _predicted(size)
    for way in WAYS.values():
        if way.dialect == "grpc":
            answer = grpc_load(grpc_port, 1, 0.5)["answer"]
        else:
            answer = _ASK[way.dialect](servers[way.server].url + way.path)
        if not all(isclose(a, b, rel_tol=1e-12) for a, b in zip(answer, expected, strict=True)):
            raise RuntimeError(f"{way.title} answers {answer}, but GPR {expected}")


def _predicted(size: int) -> list[float]:
    program = (
        "import sys; from service.gpr import GPR\n"
        f"print(GPR.load(sys.argv[1]).predict([{POINT}])[0].tolist())"
    )
    command = [python("gpserve"), "-c", program, model_file(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    values: list[float] = json.loads(done.stdout)
    return values


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, Any]:
    with urlopen(Request(url, body, headers)) as response:
        return response.read(), response.headers


def _ask_native(url: str) -> list[float]:
    body = json.dumps({f"x{i + 1}": value for i, value in enumerate(POINT)}).encode()
    answer = json.loads(_post(url, body, {"Content-Type": "application/json"})[0])
    return [answer["mean"], answer["variance"]]


def _ask_json(url: str) -> list[float]:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": POINT}
    body = json.dumps({"inputs": [tensor]}).encode()
    answer = json.loads(_post(url, body, {"Content-Type": "application/json"})[0])
    return [output["data"][0] for output in answer["outputs"]]


def _ask_binary(url: str) -> list[float]:
    parameters = {"binary_data_size": 32}
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "parameters": parameters}
    asked = {"parameters": {"binary_data_output": True}, "inputs": [tensor]}
    text = json.dumps(asked).encode()
    head = {"Content-Type": "application/octet-stream"}
    head["Inference-Header-Content-Length"] = str(len(text))
    answer, headers = _post(url, text + struct.pack("<4d", *POINT), head)
    raw = answer[int(headers["Inference-Header-Content-Length"]) :]
    return list(struct.unpack("<2d", raw))


_ASK = {"native": _ask_native, "v2": _ask_json, "v2binary": _ask_binary}
