"""Records set aside are tried again: when their time comes, or when the document they wait for is saved."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from patchline_kit.alarm import Alarm
from patchline_kit.core import Core
from patchline_kit.dead_letters import DeadLetters, TooManyDeadLetters
from patchline_kit.handling import Handling
from patchline_kit.outcomes import Poison
from patchline_kit.records import jobs_of, load_source
from patchline_kit.store.port import Parked, Save, Saved, StoreError

HELD_FOR = timedelta(minutes=1)
"""A parked record that is being tried is nobody else's for so long."""
LANES_AT_ONCE = 64
LOOK_EVERY = 5.0
"""Seconds between looks for what another replica has parked or made due."""


class ParkingLot:
    """Tries parked records again, the first of each lane.

    What waits for a saved document is let go beside the saving: nobody who saves waits for that, and what is
    saved while the store is asked is asked for together. What a crash lets slip comes at its own time.
    """

    def __init__(self, core: Core, handling: Handling, dead_letters: DeadLetters) -> None:
        self._core = core
        self._handling = handling
        self._dead_letters = dead_letters
        self._alarm = Alarm(core.clock)
        self._loop: asyncio.Task[None] | None = None
        self._trying = False
        self._saved: set[str] = set()
        """Documents (``collection/id``) for which it is still to be asked what waits for them."""
        self._letting_go: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is tried, or may just become due."""
        return self._trying or self._letting_go is not None

    def start(self) -> None:
        """Begin with what is due now."""
        self._loop = asyncio.create_task(self._forever())

    async def stop(self, *, grace: float) -> None:
        """Cancel what is being tried: it stays parked. What waits for saved documents has ``grace`` seconds
        to be let go before."""
        if self._letting_go is not None:
            await asyncio.wait([self._letting_go], timeout=grace)
        await self.kill()

    async def kill(self) -> None:
        """Drop everything at once."""
        tasks = [task for task in (self._loop, self._letting_go) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def saved(self, save: Save, _saved: Saved) -> None:
        """A document was saved: what waits for it may come."""
        self._saved.add(f"{save.collection}/{save.id}")
        if self._letting_go is None:
            self._letting_go = asyncio.create_task(self._let_go())

    def nudge(self) -> None:
        """Something may be due."""
        self._alarm.ring()

    async def _let_go(self) -> None:
        try:
            while self._saved:
                documents, self._saved = self._saved, set()
                if await self._core.store.let_go(list(documents)):
                    self.nudge()
        except StoreError as error:
            self._core.store_fails("what waits for saved documents is tried at its own time", error)
        except Exception as error:
            self._core.fail("the parking lot", error)
        finally:
            self._letting_go = None
            self._core.activity.pulse()

    async def _forever(self) -> None:
        while True:
            try:
                while self._dead_letters.stopped is None and await self._try_due():
                    pass
                wait = await self._until_next()
            except TooManyDeadLetters:
                wait = LOOK_EVERY
            except StoreError as error:
                self._core.store_fails("parked records wait", error)
                wait = LOOK_EVERY
            except Exception as error:
                self._core.fail("the parking lot", error)
                raise
            await self._alarm.wait(wait)

    async def _try_due(self) -> bool:
        now = self._core.clock.now()
        self._trying = True
        try:
            due = await self._core.store.claim_parked(now, now + HELD_FOR, LANES_AT_ONCE)
            results = await asyncio.gather(*map(self._try, due), return_exceptions=True)
        finally:
            self._trying = False
            self._core.activity.pulse()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return bool(due)

    async def _try(self, parked: Parked) -> None:
        source = load_source(parked.record)
        try:
            jobs = [job for job in jobs_of(self._core.service, source) if job.lane == parked.lane]
        except Poison as poison:
            await self._dead_letters.give_up(
                source,
                what=parked.lane,
                reason=str(poison),
                error=poison,
                attempts=parked.attempts + 1,
                event_id=None,
                first_failed_at=parked.first_failed_at,
            )
            jobs = []
        for job in jobs:
            if not await self._handling.handle(job, parked):
                return
        await self._core.store.unpark(parked)

    async def _until_next(self) -> float:
        next_due = await self._core.store.next_parked()
        if next_due is None:
            return LOOK_EVERY
        return min(LOOK_EVERY, max(0.0, (next_due - self._core.clock.now()).total_seconds()))
