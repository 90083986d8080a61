"""Turns at something with a name, such as a document or a receiver: one at a time, in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """Who has a turn at which name, and who waits for one. A name is known only while somebody does."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]] | None] = {}
        """Of each name that somebody has a turn at; None while nobody waits for it."""

    async def take(self, name: Hashable) -> None:
        """Return when it is one's turn; it lasts until :meth:`give`."""
        if name not in self._waiting:
            self._waiting[name] = None
            return
        waiting = self._waiting[name]
        if waiting is None:
            waiting = self._waiting[name] = deque()
        given = asyncio.get_running_loop().create_future()
        waiting.append(given)
        try:
            await given
        except asyncio.CancelledError:
            if not given.cancelled():  # it was given just before
                self.give(name)
            elif given in waiting:  # else the turn has passed it by already
                waiting.remove(given)
            raise

    def give(self, name: Hashable) -> None:
        """End one's turn: the next who waits has it."""
        waiting = self._waiting[name]
        while waiting:
            given = waiting.popleft()
            if not given.done():
                given.set_result(None)
                return
        del self._waiting[name]

    @asynccontextmanager
    async def turn(self, name: Hashable) -> AsyncIterator[None]:
        """Wait for one's turn, and have it while the block runs."""
        await self.take(name)
        try:
            yield
        finally:
            self.give(name)
