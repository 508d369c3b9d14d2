"""Open-loop load: requests sent on a clock, whether or not earlier ones were answered.

A closed-loop client slows down with its server and so hides the waits that others would see. Here
a latency is measured from the time at which its request was due.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp
import numpy as np

_PATIENCE = aiohttp.ClientTimeout(total=60)


@dataclass
class Responses:
    """Statuses and latencies of the requests, in milliseconds; status 0 is a broken connection."""

    statuses: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def count(self, status: int) -> int:
        """Return the number of responses with this status."""
        return self.statuses.count(status)

    def percentile(self, q: float, status: int = 200) -> float:
        """Return the q-th percentile of the latencies of responses with this status."""
        pairs = zip(self.latencies, self.statuses, strict=True)
        return float(np.percentile([latency for latency, each in pairs if each == status], q))


@dataclass(frozen=True)
class Call:
    """A request, and its rate per second."""

    url: str
    rate: float
    body: bytes | None = None


async def send(call: Call, until: asyncio.Event) -> Responses:
    """Send requests at the call's rate until the event is set, and wait for their answers."""
    responses = Responses()
    started = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=_PATIENCE) as session,
        asyncio.TaskGroup() as group,
    ):
        number = 0
        while not until.is_set():
            due = started + number / call.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(_one(session, call, due, responses))
            number += 1
    return responses


async def _one(
    session: aiohttp.ClientSession, call: Call, due: float, responses: Responses
) -> None:
    method = "GET" if call.body is None else "POST"
    headers = {"Content-Type": "application/json"}
    status = 0
    try:
        async with session.request(method, call.url, data=call.body, headers=headers) as response:
            await response.read()
            status = response.status
    except aiohttp.ClientError:
        pass
    responses.statuses.append(status)
    responses.latencies.append((time.perf_counter() - due) * 1e3)


async def send_for(call: Call, seconds: float) -> Responses:
    """Send requests at the call's rate for some seconds."""
    until = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, until.set)
    return await send(call, until)
