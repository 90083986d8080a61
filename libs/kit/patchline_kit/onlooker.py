"""Frees the leases of workers that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from patchline_kit.core import Core
from patchline_kit.store.port import StoreError

LOOKS_PER_LEASE = 3


class Onlooker:
    """Watches the beats of other workers' leases, on its own monotonic clock.

    Wall clocks of two machines may differ, so no instant is compared: a lease is freed only when this
    process has itself seen its beat stand still for the lease time.
    """

    def __init__(self, core: Core, *, owner: str, on_freed: Callable[[], None]) -> None:
        self._core = core
        self._owner = owner
        self._on_freed = on_freed
        self._seen: dict[tuple[str, str, int], tuple[int, float]] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._loop = asyncio.create_task(self._forever())

    async def stop(self) -> None:
        """Stop watching."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _forever(self) -> None:
        pause = self._core.service.lease.total_seconds() / LOOKS_PER_LEASE
        while True:
            try:
                await self._look()
            except StoreError as error:
                self._core.store_fails("leases cannot be watched", error)
            except Exception as error:
                self._core.fail("the onlooker", error)
                raise
            await self._core.clock.sleep(pause)

    async def _look(self) -> None:
        now = self._core.clock.monotonic()
        lease = self._core.service.lease.total_seconds()
        seen: dict[tuple[str, str, int], tuple[int, float]] = {}
        for beat in await self._core.store.claims():
            if beat.owner == self._owner:
                continue
            key = (beat.collection, beat.id, beat.fence)
            last, since = self._seen.get(key, (-1, now))
            if last != beat.beat:
                since = now
            seen[key] = (beat.beat, since)
            if now - since >= lease and await self._core.store.take_over(beat):
                self._core.log.warning(
                    "the worker %s of %s/%s is gone; its lease is free", beat.owner, beat.collection, beat.id
                )
                del seen[key]
                self._on_freed()
        self._seen = seen
