"""Waiting for a nudge or for a time, whichever comes first."""

from __future__ import annotations

import asyncio

from patchline_kit.clock import Clock


class Alarm:
    """One waiter; whoever has work for it rings."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Let the waiter, or the next one, go on at once."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when rung, or after ``seconds`` of the clock's time."""
        if not self._rung.is_set():
            rung = asyncio.ensure_future(self._rung.wait())
            timer = asyncio.ensure_future(self._sleep_until(self._clock.monotonic() + seconds))
            try:
                await asyncio.wait((rung, timer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                rung.cancel()
                timer.cancel()
        self._rung.clear()

    async def _sleep_until(self, monotonic: float) -> None:
        """The task begins later than it is made; a clock that is moved in between must not be missed."""
        await self._clock.sleep(monotonic - self._clock.monotonic())
