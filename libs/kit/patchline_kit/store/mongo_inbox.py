"""Inboxes that outgrow their documents, in the MongoDB store.

A document holds the newest of what it has handled; older entries move to ``inbox`` of the service, so that
a document is small and its writes are cheap however much it has handled. An entry is copied before it leaves
the document, and the document counts how often entries have left it (``spills``). A write names the count
that was known before the look into ``inbox``: so that look was not too early.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection as Some

from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from patchline_kit.store.mongo_client import Collection, MongoAddress
from patchline_kit.store.mongo_known import KnownDocuments

MOST_INSIDE = 100
"""Above so many entries the older ones leave the document."""
STAY_INSIDE = 20

log = logging.getLogger(__name__)


class Inboxes:
    """What has left its documents."""

    def __init__(
        self, documents: Collection, inbox: Collection, address: MongoAddress, known: KnownDocuments
    ) -> None:
        self._documents = documents
        self._inbox = inbox
        self._address = address
        self._known = known
        self._spilling: dict[str, asyncio.Task[None]] = {}

    async def knows(self, entries: Some[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Which of ``entries`` (document's key and record) lie here. Raises :class:`StoreError`."""
        if not entries:
            return frozenset()
        by_id = {_entry_key(*entry): entry for entry in entries}
        with self._address.explaining():
            found = self._inbox.find({"_id": {"$in": list(by_id)}}, {"_id": 1})
            return frozenset([by_id[row["_id"]] async for row in found])

    def relieve(self, key: str) -> None:
        """Move older entries out of a document that has too many of them, in the background."""
        known = self._known.get(key)
        if known is None or known.inbox <= MOST_INSIDE or key in self._spilling:
            return
        task = asyncio.create_task(self._spill(key))
        self._spilling[key] = task
        task.add_done_callback(lambda _: self._spilling.pop(key, None))

    async def prune(self, before: int) -> int:
        """Forget entries older than that instant (microseconds); how many."""
        await self._moved()
        with self._address.explaining():
            return int((await self._inbox.delete_many({"at": {"$lt": before}})).deleted_count)

    async def close(self) -> None:
        """Wait for what is being moved."""
        await self._moved()

    async def _moved(self) -> None:
        await asyncio.gather(*self._spilling.values())

    async def _spill(self, key: str) -> None:
        try:
            row = await self._documents.find_one({"_id": key}, {"inbox": 1, "spills": 1})
            leaving = row.get("inbox", [])[:-STAY_INSIDE] if row else []
            if row is None or not leaving:
                return
            await self._inbox.bulk_write(
                [
                    UpdateOne(
                        {"_id": _entry_key(key, entry["id"])}, {"$set": {"at": entry["at"]}}, upsert=True
                    )
                    for entry in leaving
                ],
                ordered=False,
            )
            await self._documents.update_one(
                {"_id": key, "spills": row.get("spills")},
                {
                    "$pull": {"inbox": {"id": {"$in": [entry["id"] for entry in leaving]}}},
                    "$inc": {"spills": 1, "inbox_size": -len(leaving)},
                },
            )
            self._known.forget(key)
        except PyMongoError as error:
            log.warning("the inbox of %s stays long for now: %s", key, self._address.explained(error))


def _entry_key(key: str, record_id: str) -> str:
    return f"{key}#{record_id}"
