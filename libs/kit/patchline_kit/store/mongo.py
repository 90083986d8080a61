"""The MongoDB store. See :mod:`patchline_kit.store.mongo_layout` for what lies where."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING

from patchline_kit.store.mongo_claims import MongoClaims
from patchline_kit.store.mongo_client import Database, MongoAddress
from patchline_kit.store.mongo_known import Known, Sequences
from patchline_kit.store.mongo_lanes import MongoLanes
from patchline_kit.store.mongo_layout import (
    ALL,
    FENCES,
    INDEXES,
    STORED,
    Row,
    key_of,
    micros,
    to_pending,
    to_stored,
)
from patchline_kit.store.mongo_reads import SharedReads
from patchline_kit.store.mongo_room import OutboxRoom
from patchline_kit.store.mongo_saves import (
    ClearWrite,
    NoteWrite,
    SaveWrite,
    Write,
    already_handled,
    new_token,
)
from patchline_kit.store.mongo_writer import MongoWriter
from patchline_kit.store.port import Pending, Save, Saved, Stored

__all__ = ["MongoAddress", "MongoDatabase", "MongoStore"]

Wanted = tuple[str, str | None]
"""A document's key, and the record of which its inbox is to say whether it knows it; None: of none."""


class MongoStore(MongoClaims, MongoLanes):
    """Documents of one service. Implements :class:`patchline_kit.store.port.Store`."""

    def __init__(self, database: Database, address: MongoAddress, service: str) -> None:
        super().__init__(database, address, service)
        self._document_reads = SharedReads(self._read)
        self._room = OutboxRoom(self._documents, address, self._known)
        self._sequences = Sequences(tail=new_token())
        self._collections = (self._documents, self._inbox, self._parked, self._lanes)
        self.writer = MongoWriter(self._documents, address, self._known, self._inboxes, self._written)

    async def prepare(self) -> None:
        """Make the indexes that are missing. Raises :class:`StoreError`."""
        places = zip(self._collections, INDEXES.values(), strict=True)
        with self._address.explaining():
            await asyncio.gather(*(place.create_indexes(list(indexes)) for place, indexes in places))

    async def now(self) -> datetime:
        """The server's time."""
        with self._address.explaining():
            answer = await self._documents.database.command("isMaster")  # which old servers know, too
            at: datetime = answer["localTime"]
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at

    async def load(self, collection: str, id: str) -> Stored | None:
        """The document, or None."""
        return await self._load(collection, id, None)

    async def load_unless_handled(self, collection: str, id: str, record_id: str) -> Stored | None:
        """See :meth:`patchline_kit.store.port.Store.load_unless_handled`."""
        return await self._load(collection, id, record_id)

    async def handled(self, collection: str, id: str, record_id: str) -> bool:
        """Whether the document's inbox knows ``record_id``."""
        with self._address.explaining():
            where = {"_id": key_of(collection, id)}
            row = await self._documents.find_one(where, _inbox_of(record_id) | {"spills": 1})
        return row is not None and await self._knows(row, record_id)

    async def save(self, save: Save) -> Saved:
        """See :meth:`patchline_kit.store.port.Store.save`."""
        write = SaveWrite(save, self._sequences)
        await self._room.wait(save, write.key)
        saved: Saved = await self.writer.submit(write)
        return saved

    async def save_all(self, saves: Sequence[Save]) -> Sequence[Saved | Exception]:
        """See :meth:`patchline_kit.store.port.Store.save_all`."""
        results: list[Saved | Exception] = []
        for result in await asyncio.gather(*map(self.save, saves), return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
            results.append(result)
        return results

    async def note(
        self, collection: str, id: str, expected_version: int, record_id: str, at: datetime
    ) -> None:
        """See :meth:`patchline_kit.store.port.Store.note`."""
        await self.writer.submit(NoteWrite(collection, id, expected_version, record_id, at))

    async def find(
        self, collection: str, tag: str | None, *, after: str = "", limit: int = 500
    ) -> Sequence[Stored]:
        """Documents with ``tag`` (all with None), by ascending id, beginning after ``after``."""
        where = {
            "collection": collection,
            "tags": ALL if tag is None else tag,
            "_id": {"$gt": key_of(collection, after)},
        }
        with self._address.explaining():
            found = self._documents.find(where, STORED, sort=[("_id", ASCENDING)], limit=limit)
            return [to_stored(row) async for row in found]

    async def count(self, collection: str, tag: str | None = None) -> int:
        """How many documents have ``tag``."""
        with self._address.explaining():
            return int(
                await self._documents.count_documents(
                    {"collection": collection, "tags": ALL if tag is None else tag}
                )
            )

    async def pending(
        self, *, document: tuple[str, str] | None = None, after: int = 0, limit: int = 500
    ) -> Sequence[Pending]:
        """Outbox entries in order, of one document or of all, with a sequence above ``after``."""
        if document is not None:
            key = key_of(*document)
            with self._address.explaining():
                row = await self._documents.find_one({"_id": key}, {"outbox": 1})
            entries = row.get("outbox", ()) if row else ()
            return [to_pending(key, entry) for entry in entries if entry["sequence"] > after][:limit]
        with self._address.explaining():
            wanted = await self._oldest_waiting(after, limit)
            found = self._documents.find({"_id": {"$in": list(set(wanted.values()))}}, {"outbox": 1})
            entries_of = {
                entry["sequence"]: to_pending(row["_id"], entry)
                async for row in found
                for entry in row["outbox"]
            }
        return [entries_of[sequence] for sequence in wanted if sequence in entries_of]

    async def clear(self, sent: Sequence[Pending]) -> None:
        """Forget outbox entries that were delivered; versions stay as they are."""
        by_document: defaultdict[str, list[int]] = defaultdict(list)
        for entry in sent:
            by_document[key_of(entry.collection, entry.document_id)].append(entry.sequence)
        await asyncio.gather(
            *(self.writer.submit_patiently(ClearWrite(key, gone)) for key, gone in by_document.items())
        )

    async def prune(self, before: datetime) -> int:
        """Forget what inboxes remember from before that instant; how many records."""
        old = {"inbox.at": {"$lt": micros(before)}}
        forgotten = await self._inboxes.prune(micros(before))
        with self._address.explaining():
            async for row in self._documents.find(old, {"inbox.at": 1}):
                gone = sum(entry["at"] < micros(before) for entry in row["inbox"])
                forgotten += gone
                await self._documents.update_one(
                    {"_id": row["_id"]},
                    {"$pull": {"inbox": {"at": {"$lt": micros(before)}}}, "$inc": {"inbox_size": -gone}},
                )
            empty: dict[str, Any] = {"$in": [[], None]}
            await self._documents.delete_many(
                {
                    "version": {"$lte": 0},
                    "saved_at": {"$lt": micros(before)},
                    "inbox": empty,
                    "outbox": empty,
                }
            )
        return forgotten

    async def wipe(self) -> None:
        """Delete the service's collections."""
        with self._address.explaining():
            for collection in self._collections:
                await collection.drop()

    async def close(self) -> None:
        """Finish what was accepted; the connection is the database's to close."""
        await self.writer.close()
        await self._inboxes.close()

    async def _load(self, collection: str, id_: str, record_id: str | None) -> Stored | None:
        key = key_of(collection, id_)
        row = (await self._document_reads.get([(key, record_id)])).get((key, record_id))
        if row is None:
            return None
        self._known.learn(key, Known.of(row))
        self._inboxes.relieve(key)
        if record_id is not None and await self._knows(row, record_id):
            raise already_handled(key, record_id)
        return to_stored(row) if row["version"] > 0 else None

    async def _read(self, wanted: Sequence[Wanted]) -> dict[Wanted, Row]:
        """Documents as they lie there, each with what its inbox holds of the record that is asked for."""
        records = {record_id for _key, record_id in wanted if record_id is not None}
        fields = STORED | _inbox_of(*records) if records else STORED
        with self._address.explaining():
            asked = self._documents.find({"_id": {"$in": [key for key, _record in wanted]}}, fields)
            rows = {row["_id"]: row async for row in asked}
            found: dict[Wanted, Row] = {}
            for key, record_id in wanted:
                row = rows.get(key)
                if row is not None and record_id and _shows_another(row, record_id):
                    # of several entries the server shows the first: whether it has this one is not seen
                    row = await self._documents.find_one({"_id": key}, STORED | _inbox_of(record_id))
                if row is not None:
                    found[key, record_id] = row
        return found

    async def _oldest_waiting(self, after: int, limit: int) -> dict[int, str]:
        """The first ``limit`` outbox entries above ``after``, in order, with their documents' keys."""
        documents = limit
        while True:
            cursor = self._documents.find(
                {"outbox.sequence": {"$gt": after}},
                {"outbox.sequence": 1},
                sort=[("outbox.sequence", ASCENDING)],
                limit=documents,
            )
            rows = await cursor.to_list(documents)
            last = rows[-1]["outbox"][0]["sequence"] if len(rows) == documents else None
            found = sorted(
                (entry["sequence"], row["_id"])
                for row in rows
                for entry in row["outbox"]
                if after < entry["sequence"] and (last is None or entry["sequence"] <= last)
            )
            if found or last is None:
                return dict(found[:limit])
            documents *= 2  # what was found begins before `after`: the rest may begin before what it holds

    async def _knows(self, row: Row, record_id: str) -> bool:
        """Whether a document's inbox knows a record, inside it or outside; the document was read first."""
        if row.get("inbox"):
            return True
        return bool(row.get("spills") and await self._inboxes.knows([(row["_id"], record_id)]))

    def _written(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, ClearWrite):
                self._known.cleared(write.key, write.sequences)
                self._room.freed(write.key)
            elif isinstance(write, SaveWrite):
                self._inboxes.relieve(write.key)


class MongoDatabase:
    """A connection that the stores of a process share."""

    def __init__(self, address: MongoAddress) -> None:
        """Raises :class:`StoreError` if the address cannot be used; it connects in :meth:`start`."""
        self.address = address
        self._database = address.connect()
        self._stores: list[MongoStore] = []

    async def start(self) -> None:
        """Connect. Raises :class:`StoreError` if nobody answers or it may not read."""
        with self.address.explaining():
            await self._database[FENCES].find_one()

    async def store(self, service: str, *, indexes: bool = True) -> MongoStore:
        """A service's documents; who only looks need not make ``indexes``. Raises :class:`StoreError`."""
        store = MongoStore(self._database, self.address, service)
        if indexes:
            await store.prepare()
        self._stores.append(store)
        return store

    async def close(self) -> None:
        """Finish what was accepted, then close the connection."""
        await asyncio.gather(*(store.close() for store in self._stores))
        self._database.client.close()

    async def drop(self) -> None:
        """Delete the database with all that lies in it: for tests."""
        with self.address.explaining():
            await self._database.client.drop_database(self.address.database)


def _inbox_of(*records: str) -> dict[str, Any]:
    return {"inbox": {"$elemMatch": {"id": {"$in": list(records)}}}}


def _shows_another(row: Row, record_id: str) -> bool:
    return any(entry["id"] != record_id for entry in row.get("inbox", ()))
