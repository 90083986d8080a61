"""Time, injected: no handler and no rule reads the wall clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the kit needs of time."""

    def now(self) -> datetime:
        """The instant, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump, for leases."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of this clock's time."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The machine's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic time in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep in the event loop."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that a test moves by hand."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._elapsed = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def now(self) -> datetime:
        """Where the test has put the clock."""
        return self._now

    def monotonic(self) -> float:
        """Seconds the clock was moved so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was moved far enough."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[future] = self._elapsed + seconds
        try:
            await future
        finally:
            self._sleepers.pop(future, None)

    def advance(self, by: timedelta) -> None:
        """Move the clock and release the sleepers whose time has come."""
        self._now += by
        self._elapsed += by.total_seconds()
        for future, until in list(self._sleepers.items()):
            if until <= self._elapsed and not future.done():
                future.set_result(None)
