"""Records set aside, in the MongoDB store: lanes of which only the first record is ever due.

A record lies in ``parked``; when its lane is due lies in ``lanes``, one small document per lane. No write
spans both. Whoever parks first stores the record and then raises the lane's ``parks``; whoever takes the last
record out removes the lane only while ``parks`` is what it was before the look for a next record. So a lane
with records never goes without a time, whatever crashes between.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from patchline_kit.store.mongo_client import Database, MongoAddress
from patchline_kit.store.mongo_layout import Row, micros, moment, parked_key, parked_row, to_parked
from patchline_kit.store.mongo_part import Part
from patchline_kit.store.mongo_reads import SharedReads
from patchline_kit.store.port import Parked

AT_ONCE = 0
"""The instant of what is due without waiting."""


class MongoLanes(Part):
    """The parking part of :class:`patchline_kit.store.port.Store`."""

    def __init__(self, database: Database, address: MongoAddress, service: str) -> None:
        super().__init__(database, address, service)
        self._lane_reads = SharedReads(self._find_lanes)

    async def park(self, parked: Parked) -> None:
        """See :meth:`patchline_kit.store.port.Store.park`."""
        row = parked_row(parked)
        where = {"_id": parked_key(parked.lane, parked.sequence)}
        with self._address.explaining():
            if parked.not_before is None:
                result = await self._parked.update_one(where, {"$setOnInsert": row}, upsert=True)
                if result.matched_count:
                    await self._announce(parked.lane, parked.sequence, None)
                    return
            else:
                await self._parked.update_one(where, {"$set": row}, upsert=True)
            await self._announce(parked.lane, parked.sequence, self._schedule(parked))

    async def parked_lanes(self, lanes: Sequence[str]) -> frozenset[str]:
        """Which of ``lanes`` hold parked records."""
        return frozenset(await self._lane_reads.get(lanes))

    async def claim_parked(self, now: datetime, until: datetime, limit: int = 100) -> Sequence[Parked]:
        """The first record of each lane whose time has come; nobody gets it again before ``until``."""
        claimed: list[Parked] = []
        with self._address.explaining():
            due = self._lanes.find({"not_before": {"$lte": micros(now)}}, sort=[("not_before", ASCENDING)])
            for lane in await due.to_list(limit):
                held = await self._lanes.find_one_and_update(
                    {"_id": lane["_id"], "not_before": lane["not_before"], "parks": lane["parks"]},
                    {"$set": {"not_before": micros(until)}, "$inc": {"parks": 1}},
                    return_document=ReturnDocument.AFTER,
                )
                if held is None:
                    continue
                first = await self._first(lane["_id"])
                if first is None:
                    await self._close(held)
                else:
                    claimed.append(to_parked(first, lane["not_before"]))
        return claimed

    async def next_parked(self) -> datetime | None:
        """When the next parked record is due."""
        with self._address.explaining():
            lane = await self._lanes.find_one({}, {"not_before": 1}, sort=[("not_before", ASCENDING)])
        return None if lane is None else moment(lane["not_before"])

    async def parked(self, *, after: tuple[str, int] = ("", -1), limit: int = 100) -> Sequence[Parked]:
        """All parked records by lane and sequence, for looking."""
        lane, sequence = after
        beyond = {"$or": [{"lane": {"$gt": lane}}, {"lane": lane, "sequence": {"$gt": sequence}}]}
        with self._address.explaining():
            cursor = self._parked.find(beyond, sort=[("lane", ASCENDING), ("sequence", ASCENDING)])
            rows = await cursor.to_list(limit)
            lanes = self._lanes.find({"_id": {"$in": list({row["lane"] for row in rows})}})
            heads = {(lane["_id"], lane["first"]): lane["not_before"] async for lane in lanes}
        return [to_parked(row, heads.get((row["lane"], row["sequence"]))) for row in rows]

    async def unpark(self, parked: Parked) -> None:
        """Take a record out; the next of its lane becomes due."""
        with self._address.explaining():
            await self._parked.delete_one({"_id": parked_key(parked.lane, parked.sequence)})
            lane = await self._lanes.find_one({"_id": parked.lane})
            while lane is not None and lane["first"] == parked.sequence:
                if await self._advance(lane):
                    return
                lane = await self._lanes.find_one({"_id": parked.lane})

    async def let_go(self, documents: Sequence[str]) -> int:
        """Make the records that wait for any of these (``collection/id``) due at once; how many."""
        let_go = 0
        with self._address.explaining():
            async for lane in self._lanes.find({"waits_for": {"$in": list(documents)}}):
                result = await self._lanes.update_one(
                    {"_id": lane["_id"], "waits_for": lane["waits_for"]}, {"$set": {"not_before": AT_ONCE}}
                )
                let_go += result.matched_count
        return let_go

    async def _find_lanes(self, lanes: Sequence[str]) -> dict[str, Row]:
        with self._address.explaining():
            found = self._lanes.find({"_id": {"$in": list(lanes)}}, {"_id": 1})
            return {row["_id"]: row async for row in found}

    async def _announce(self, lane: str, sequence: int, schedule: Row | None) -> None:
        """Say that a record has come; with ``schedule`` that its time is the lane's if it is the first."""
        if schedule is not None:
            change: dict[str, Any] = {"$set": {"first": sequence, **schedule}, "$inc": {"parks": 1}}
            result = await self._lanes.update_one({"_id": lane, "first": {"$gte": sequence}}, change)
            if result.matched_count:
                return
        fresh = {"first": sequence, **(schedule or {"not_before": AT_ONCE, "waits_for": None})}
        try:
            await self._lanes.update_one(
                {"_id": lane}, {"$inc": {"parks": 1}, "$setOnInsert": fresh}, upsert=True
            )
        except DuplicateKeyError:  # two have made it at once: now it is there
            await self._announce(lane, sequence, schedule)

    async def _advance(self, lane: Row) -> bool:
        """Let the next record of a lane come, or close it; False if somebody has parked meanwhile."""
        following = await self._first(lane["_id"])
        if following is None:
            return await self._close(lane)
        result = await self._lanes.update_one(
            {"_id": lane["_id"], "parks": lane["parks"]},
            {"$set": {"first": following["sequence"], "not_before": AT_ONCE, "waits_for": None}},
        )
        return bool(result.matched_count)

    async def _close(self, lane: Row) -> bool:
        result = await self._lanes.delete_one({"_id": lane["_id"], "parks": lane["parks"]})
        return bool(result.deleted_count)

    async def _first(self, lane: str) -> Row | None:
        found: Row | None = await self._parked.find_one({"lane": lane}, sort=[("sequence", ASCENDING)])
        return found

    @staticmethod
    def _schedule(parked: Parked) -> dict[str, Any]:
        at = AT_ONCE if parked.not_before is None else micros(parked.not_before)
        return {"not_before": at, "waits_for": parked.waits_for}
