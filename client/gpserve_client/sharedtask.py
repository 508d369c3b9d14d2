"""One task for all who ask for the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SharedTask(Generic[T]):
    """What `ask` gives; who asks while it is under way, on the same loop, awaits the same.

    Unlike behind a lock, a failure is told to all at once, not to one after the other.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._ask = ask
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[T]] = {}

    async def result(self) -> T:
        """Its result; who is cancelled meanwhile does not cancel it for the others."""
        loop = asyncio.get_running_loop()
        if loop not in self._tasks:
            task = loop.create_task(self._ask())
            self._tasks[loop] = task
            task.add_done_callback(lambda _: self._tasks.pop(loop, None))
        return await asyncio.shield(self._tasks[loop])
