"""The store's time, by which windows and deadlines are judged: replicas on different machines agree on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from patchline_kit.clock import Clock

LOOK_EVERY = timedelta(seconds=10)
"""How often the store is asked for its time."""
OFF_AT_MOST = timedelta(seconds=5)
"""A machine whose clock is further from the store's has something wrong with it."""


class TellsTime(Protocol):
    """The store, as far as a clock needs it."""

    async def now(self) -> datetime:
        """The store's time, in UTC. Raises :class:`patchline_kit.store.port.StoreError`."""


class StoreClock:
    """Goes by the store's time, and between two looks by the machine's monotonic time.

    Implements :class:`patchline_kit.clock.Clock`. Before the first look it goes by the machine's clock. What
    the machine's clock says, and how it jumps, changes :attr:`trouble` and nothing else.
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._at = machine.now()
        self._since = machine.monotonic()
        self._has_looked = False

    def now(self) -> datetime:
        """The store's time, in UTC."""
        return self._at + timedelta(seconds=self._machine.monotonic() - self._since)

    def monotonic(self) -> float:
        """The machine's monotonic time in seconds."""
        return self._machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of the machine's time."""
        await self._machine.sleep(seconds)

    async def look(self, store: TellsTime) -> None:
        """Ask the store. Raises :class:`patchline_kit.store.port.StoreError`; then time goes on as before.

        An answer that took long tells little: it moves the time no further than it is sure of.
        """
        asked = self._machine.monotonic()
        earliest = await store.now()
        answered = self._machine.monotonic()
        took = timedelta(seconds=answered - asked)
        known = self.now() if self._has_looked else earliest + took / 2
        self._at, self._since = min(max(known, earliest), earliest + took), answered
        self._has_looked = True

    @property
    def trouble(self) -> str | None:
        """Why nothing may be started here, as a sentence; None while the machine's clock is right."""
        off = self._machine.now() - self.now()
        if abs(off) <= OFF_AT_MOST:
            return None
        seconds = f"{abs(off).total_seconds():.0f} s {'ahead of' if off > timedelta(0) else 'behind'}"
        return (
            f"this machine's clock is {seconds} the store's, so no work is begun here; set it right, best by"
            " time synchronisation (NTP)"
        )
