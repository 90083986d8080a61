"""Room in outboxes: what a document emits lies in it, and a MongoDB document is small.

A woken document that emits much (a cursor over all targets, say) waits here until the relay has sent enough
of what it emitted before. Who handles a record or a message never waits: that may be just what the relay is
about.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from patchline_kit.store.mongo_client import Collection, MongoAddress
from patchline_kit.store.mongo_known import Known, KnownDocuments
from patchline_kit.store.mongo_layout import BESIDE
from patchline_kit.store.port import Save, StoreError

MOST_WAITING: Final = 1 << 20
"""Bytes in a document's outbox, above which it waits before it emits more."""
LOOK_EVERY: Final = 0.5
"""Seconds between looks for what another process has sent."""
PATIENCE: Final = 20.0
"""Seconds after which a save gives up; the document is woken again later."""


class OutboxRoom:
    """Holds saves back while their documents' outboxes are full."""

    def __init__(self, documents: Collection, address: MongoAddress, known: KnownDocuments) -> None:
        self._documents = documents
        self._address = address
        self._known = known
        self._freed: dict[str, asyncio.Event] = {}

    async def wait(self, save: Save, key: str) -> None:
        """Return when ``save`` may emit. Raises :class:`StoreError` if that takes too long."""
        if save.fence is None or not save.outgoing or not self._full(key):
            return
        try:
            async with asyncio.timeout(PATIENCE):
                while self._full(key):
                    await self._freed_or_a_while(key)
                    await self._look(key)
        except TimeoutError:
            raise StoreError(
                f"{key} emits nothing more while {MOST_WAITING >> 10} KiB in its outbox are not sent"
            ) from None

    def freed(self, key: str) -> None:
        """Entries have left a document's outbox."""
        if (event := self._freed.pop(key, None)) is not None:
            event.set()

    def _full(self, key: str) -> bool:
        known = self._known.get(key)
        return known is not None and known.waiting_bytes > MOST_WAITING

    async def _freed_or_a_while(self, key: str) -> None:
        event = self._freed.setdefault(key, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await event.wait()

    async def _look(self, key: str) -> None:
        with self._address.explaining():
            row = await self._documents.find_one({"_id": key}, BESIDE)
        if row is not None:
            self._known.learn(key, Known.of(row))
