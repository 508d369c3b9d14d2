"""Load that does not wait: requests sent on a clock, whether or not the last was answered.

A closed-loop client slows down with its server and so hides the waits that others would see. Here
a latency counts from the moment at which its request was due.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp
import numpy as np

_PATIENCE = aiohttp.ClientTimeout(total=60)


@dataclass
class Seen:
    """Statuses and latencies of the requests, in milliseconds; status 0 is a broken connection."""

    statuses: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def count(self, status: int) -> int:
        """How many were answered so."""
        return self.statuses.count(status)

    def percentile(self, q: float, status: int = 200) -> float:
        """The q-th percentile of the latencies of those that were answered so."""
        pairs = zip(self.latencies, self.statuses, strict=True)
        return float(np.percentile([took for took, said in pairs if said == status], q))


@dataclass(frozen=True)
class Call:
    """What is sent, and how often a second."""

    url: str
    rate: float
    body: bytes | None = None


async def send(call: Call, until: asyncio.Event) -> Seen:
    """Send requests at the call's rate until the event is set, and wait for their answers."""
    seen = Seen()
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
            group.create_task(_one(session, call, due, seen))
            number += 1
    return seen


async def _one(session: aiohttp.ClientSession, call: Call, due: float, seen: Seen) -> None:
    method = "GET" if call.body is None else "POST"
    headers = {"Content-Type": "application/json"}
    status = 0
    try:
        async with session.request(method, call.url, data=call.body, headers=headers) as response:
            await response.read()
            status = response.status
    except aiohttp.ClientError:
        pass
    seen.statuses.append(status)
    seen.latencies.append((time.perf_counter() - due) * 1e3)


async def send_for(call: Call, seconds: float) -> Seen:
    """Send requests at the call's rate for some seconds."""
    until = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, until.set)
    return await send(call, until)
