"""Load on MLServer's gRPC: `python -m bench.peers.mlserver_grpc ADDRESS CONNECTIONS SECONDS`.

It prints a document with the fields of `bench.wrk.Load`, the client's own CPU time per request in
seconds, and the first answer. Each caller has a connection and sends when its answer is there.
Requests were written before, and answers stay bytes, so that the client costs little.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
import time
from statistics import quantiles

import grpc
from mlserver.grpc.dataplane_pb2 import ModelInferRequest, ModelInferResponse

METHOD = "/inference.GRPCInferenceService/ModelInfer"
POINT = [0.1, 0.2, 0.3, 0.4]


def _request(point: list[float]) -> bytes:
    tensor = ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[1, len(point)])
    raw = struct.pack(f"<{len(point)}d", *point)
    message = ModelInferRequest(model_name="gp", inputs=[tensor], raw_input_contents=[raw])
    written: bytes = message.SerializeToString()
    return written


def _values(answer: bytes) -> list[float]:
    response = ModelInferResponse.FromString(answer)
    if response.raw_output_contents:
        return [struct.unpack("<d", raw)[0] for raw in response.raw_output_contents]
    return [output.contents.fp64_contents[0] for output in response.outputs]


async def _caller(address: str, requests: list[bytes], end: float, times: list[float]) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        infer = channel.unary_unary(METHOD)
        number = 0
        while (started := time.perf_counter()) < end:
            await infer(requests[number % len(requests)])
            times.append((time.perf_counter() - started) * 1e3)
            number += 1


async def _load(address: str, connections: int, seconds: float) -> dict[str, object]:
    async with grpc.aio.insecure_channel(address) as channel:
        answer = _values(await channel.unary_unary(METHOD)(_request(POINT)))
    requests = [_request([random.random() for _ in POINT]) for _ in range(128)]
    times: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()
    callers = [_caller(address, requests, started + seconds, times) for _ in range(connections)]
    await asyncio.gather(*callers)
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - started
    cuts = quantiles(times, n=100)
    load = {"requests": len(times), "seconds": elapsed, "p50": cuts[49], "p99": cuts[98]}
    load |= {"max": max(times), "refused": 0, "broken": 0}
    return {"load": load, "client": cpu / len(times), "answer": answer}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_load(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
