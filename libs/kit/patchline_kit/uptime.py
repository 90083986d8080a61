"""Keeps track of when the service is up and how far it has heard its topics, for deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from patchline_kit.core import Core, body_of, to_document
from patchline_kit.dead_letters import prune_letters
from patchline_kit.deadlines import ALIVE_EVERY, ALIVE_ID, OUTAGE_FROM, Alive, Heard, lately, with_gap
from patchline_kit.settings import ServiceSettings
from patchline_kit.store.port import Save, StoreError, VersionConflict
from patchline_kit.transport.port import Lag, TransportError
from patchline_kit.transport.topics import KEEP, KEEP_DEAD_LETTERS

FRESH_FOR = timedelta(milliseconds=250)
"""A look at the lag, which asks the log's server, is good for so long."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Real seconds between looks until the service has caught up: one that has much to do looks less often."""
INBOX_LONGER_THAN_LOG = timedelta(days=1)
"""An inbox remembers a record for so much longer than the log keeps it."""
PRUNE_EVERY = timedelta(hours=1)


class UptimeKeeper:
    """Notes that the service lives, finds outages, and asks how far behind it is."""

    def __init__(
        self, core: Core, lag: Callable[[], Awaitable[Lag | None]], *, owner: str, alone: bool
    ) -> None:
        self._core = core
        self._lag = lag
        self._owner = owner
        self._alone = alone
        self._tasks: list[asyncio.Task[None]] = []
        self._asking: asyncio.Task[None] | None = None
        self._drift = timedelta(0)
        self._pruned_at = core.clock.now()
        self.caught_up = asyncio.Event()

    async def start(self) -> None:
        """Find out how long the service was down."""
        await self._note()
        self._drift = self._wall_minus_monotonic()

    def watch(self) -> None:
        """Begin to look at the lag; called when the service reads its topics."""
        self._tasks = [asyncio.create_task(self._catch_up()), asyncio.create_task(self._forever())]

    async def stop(self) -> None:
        """Stop looking."""
        tasks = [*self._tasks, *([self._asking] if self._asking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def hear(self) -> None:
        """Find out how far the topics are handled, unless that was asked a moment ago or is being asked."""
        heard_until = self._core.uptime.heard_until
        if heard_until is not None and self._core.clock.now() - heard_until < FRESH_FOR:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        uptime, now = self._core.uptime, self._core.clock.now()
        try:
            lag = await self._lag()
        except TransportError as error:
            self._core.log.warning("the lag is not known: %s", error)
            return
        uptime.reads = lag is not None or self._alone
        if lag is None:
            uptime.heard_until = None
        elif lag.records == 0:
            uptime.heard_until = now
            if not self.caught_up.is_set():
                self.caught_up.set()
                self._core.activity.pulse()
        elif uptime.heard_until is not None and lag.oldest is not None:
            uptime.heard_until = max(uptime.heard_until, min(now, lag.oldest))

    async def _catch_up(self) -> None:
        pause = FIRST_PAUSE
        await self.hear()
        while not self.caught_up.is_set():
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            await self.hear()

    async def _forever(self) -> None:
        while True:
            await self._core.clock.sleep(ALIVE_EVERY.total_seconds())
            try:
                slept = self._wall_minus_monotonic() - self._drift
                self._drift += slept
                await self.hear()
                await self._note(suspended=slept > OUTAGE_FROM)
                await self._prune()
            except StoreError as error:
                self._core.store_fails("the service cannot note that it lives", error)
            except Exception as error:
                self._core.fail("the uptime keeper", error)
                raise

    async def _note(self, *, suspended: bool | None = None) -> None:
        """Store that the service lives now. A gap is an outage at the start, or after a suspended machine."""
        store, now = self._core.store, self._core.clock.now()
        while True:
            stored = await store.load(Alive.COLLECTION, ALIVE_ID)
            alive = to_document(Alive, stored) if stored else Alive(id=ALIVE_ID, last_seen=now)
            if suspended is None or suspended:
                alive.outages = with_gap(alive.outages, alive.last_seen, now)
            alive.last_seen = max(alive.last_seen, now)
            if not self._alone:
                self._exchange(alive, now)
            try:
                await store.save(
                    Save(
                        collection=Alive.COLLECTION,
                        id=ALIVE_ID,
                        expected_version=alive.version,
                        body=body_of(alive),
                        wake_at=None,
                        wake_priority=0,
                        tags=frozenset(),
                        handled=None,
                        outgoing=(),
                        at=now,
                    )
                )
            except VersionConflict:
                continue
            self._core.store_works()
            self._core.uptime.outages = alive.outages
            return

    def _exchange(self, alive: Alive, now: datetime) -> None:
        """Say how far this replica has heard, and learn it of the others."""
        uptime = self._core.uptime
        others = {name: heard for name, heard in lately(alive.replicas, now).items() if name != self._owner}
        uptime.others = tuple(heard.until for heard in others.values())
        alive.replicas = others
        if uptime.reads:
            alive.replicas[self._owner] = Heard(seen=now, until=uptime.heard_until)

    async def _prune(self) -> None:
        now = self._core.clock.now()
        if now - self._pruned_at >= PRUNE_EVERY:
            self._pruned_at = now
            keep = self._core.settings.keep if isinstance(self._core.settings, ServiceSettings) else KEEP
            await self._core.store.prune(now - keep - INBOX_LONGER_THAN_LOG)
            with suppress(VersionConflict):  # another replica deletes them too
                await prune_letters(self._core.store, now - max(keep, KEEP_DEAD_LETTERS))

    def _wall_minus_monotonic(self) -> timedelta:
        clock = self._core.clock
        return timedelta(seconds=clock.now().timestamp() - clock.monotonic())
