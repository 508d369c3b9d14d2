"""Whose connections are used: a process's own, and with asyncio an event loop's own."""

from __future__ import annotations

import asyncio
import os

import httpx

from gpserve_client._base import Settings


class OfProcess:
    """The connections of this process.

    A child that was forked has its parent's sockets: on them each would read the other's answers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made = os.getpid(), httpx.Client(**settings.http())

    def own(self) -> httpx.Client:
        """An HTTP client whose connections no other process uses.

        The parent's is dropped in the child: without a farewell that the parent's peers would hear.
        """
        process, http = self._made
        if process != os.getpid():
            # no lock: one that a thread held at the fork would never be released in the child
            http = httpx.Client(**self._settings.http())
            self._made = os.getpid(), http
        return http


class OfLoop:
    """The connections of the running event loop, in this process.

    Another `asyncio.run` is another loop, on which the connections of the first cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[tuple[int, asyncio.AbstractEventLoop], httpx.AsyncClient] = {}

    def own(self) -> httpx.AsyncClient:
        """An HTTP client whose connections no other loop and no other process uses."""
        owner = os.getpid(), asyncio.get_running_loop()
        if owner not in self._made:
            self._forget_closed_loops()
            self._made.setdefault(owner, httpx.AsyncClient(**self._settings.http()))
        return self._made[owner]

    def _forget_closed_loops(self) -> None:
        # Those of a parent's open loop are kept: to collect them could take its sockets out of
        # the epoll set that a fork shares.
        for process, loop in list(self._made):
            if loop.is_closed():
                self._made.pop((process, loop), None)
