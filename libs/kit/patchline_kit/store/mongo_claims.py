"""Claims on documents that wake, in the MongoDB store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, ReturnDocument, UpdateOne

from patchline_kit.store.mongo_known import Known
from patchline_kit.store.mongo_layout import CLAIMED, STORED, Row, key_of, micros, moment, names_of, to_stored
from patchline_kit.store.mongo_part import Part
from patchline_kit.store.port import Beat, Claim

UNCLAIM = {"owner": "", "claimed_wake_at": ""}
LAST = "last"
"""The document, and its field, that hold the newest fencing number of the database."""


class MongoClaims(Part):
    """The claiming part of :class:`patchline_kit.store.port.Store`."""

    async def claim_due(
        self, collections: Sequence[str], now: datetime, owner: str, limit: int
    ) -> Sequence[Claim]:
        """See :meth:`patchline_kit.store.port.Store.claim_due`.

        Fencing numbers are taken after the documents were seen due, and used only where a document still is
        as it was seen. So whoever works on a target after another has the higher number, though numbers are
        taken in blocks.
        """
        claims: list[Claim] = []
        with self._address.explaining():
            while len(claims) < limit:
                due = await self._due(collections, micros(now), limit - len(claims))
                taken = await self._take(due, owner)
                claims += taken
                if len(taken) == len(due):  # else another worker was faster: there may be more
                    break
        return claims

    async def next_wake(self, collections: Sequence[str]) -> datetime | None:
        """The earliest ``wake_at`` of an unclaimed document."""
        with self._address.explaining():
            row = await self._documents.find_one(
                _unclaimed(collections, {"$exists": True}), {"wake_at": 1}, sort=[("wake_at", ASCENDING)]
            )
        return None if row is None else moment(row["wake_at"])

    async def beat(self, collection: str, id: str, fence: int) -> bool:
        """Show that the claim's owner lives; False when the claim is lost."""
        with self._address.explaining():
            result = await self._documents.update_one(_held(collection, id, fence), {"$inc": {"beat": 1}})
        return result.matched_count == 1

    async def release(
        self, collection: str, id: str, fence: int, *, retry_at: datetime | None = None, done: bool = False
    ) -> None:
        """See :meth:`patchline_kit.store.port.Store.release`."""
        held = _held(collection, id, fence)
        with self._address.explaining():
            if done:
                await self._documents.update_one(held, {"$unset": UNCLAIM | {"attempts": ""}})
            elif retry_at is not None:
                change = {"$unset": UNCLAIM, "$inc": {"attempts": 1}, "$min": {"wake_at": micros(retry_at)}}
                await self._documents.update_one(held, change)
            else:
                await self._free(held)

    async def free_claims(self) -> int:
        """Free all claims of this service: for a sole owner at its start. How many there were."""
        return await self._free(CLAIMED)

    async def claims(self) -> Sequence[Beat]:
        """All leases now held, for the onlooker that takes over those that stand still."""
        with self._address.explaining():
            found = self._documents.find(CLAIMED, {"owner": 1, "fence": 1, "beat": 1})
            return [
                Beat(*names_of(row["_id"]), owner=row["owner"], fence=row["fence"], beat=row["beat"])
                async for row in found
            ]

    async def take_over(self, seen: Beat) -> bool:
        """Free a claim if its beat is still the one ``seen``; True when this call freed it."""
        held = _held(seen.collection, seen.id, seen.fence) | {"owner": seen.owner, "beat": seen.beat}
        return await self._free(held) == 1

    async def _take(self, due: Sequence[Row], owner: str) -> list[Claim]:
        """Claim those of ``due`` that nobody else has claimed meanwhile."""
        if not due:
            return []
        last = await self._fences.find_one_and_update(
            {"_id": LAST}, {"$inc": {LAST: len(due)}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        first = last[LAST] - len(due) + 1
        fences = {row["_id"]: first + place for place, row in enumerate(due)}
        await self._documents.bulk_write(
            [_claim(row, owner, fences[row["_id"]]) for row in due], ordered=False
        )
        claimed = {
            row["_id"]: row
            async for row in self._documents.find(
                {"_id": {"$in": list(fences)}, "owner": owner}, STORED | {"fence": 1, "attempts": 1}
            )
            if row["fence"] == fences[row["_id"]]
        }
        for key, row in claimed.items():
            self._known.learn(key, Known.of(row))
        return [
            _to_claim(claimed[seen["_id"]], due=seen["wake_at"]) for seen in due if seen["_id"] in claimed
        ]

    async def _due(self, collections: Sequence[str], now: int, limit: int) -> list[Row]:
        cursor = self._documents.find(
            _unclaimed(collections, {"$lte": now}),
            {"wake_at": 1, "wake_priority": 1, "fence": 1},
            sort=[("wake_priority", DESCENDING), ("wake_at", ASCENDING)],
            limit=limit,
        )
        return [row async for row in cursor]

    async def _free(self, where: Row) -> int:
        """Give claims back undone: the documents are due again. How many it were."""
        with self._address.explaining():
            claimed = [
                row
                async for row in self._documents.find(where, {"owner": 1, "fence": 1, "claimed_wake_at": 1})
            ]
            if not claimed:
                return 0
            result = await self._documents.bulk_write(
                [
                    UpdateOne(
                        dict(where) | {"_id": row["_id"], "owner": row["owner"], "fence": row["fence"]},
                        {"$unset": UNCLAIM, "$min": {"wake_at": row["claimed_wake_at"]}},
                    )
                    for row in claimed
                ],
                ordered=False,
            )
        return int(result.matched_count)


def _unclaimed(collections: Sequence[str], wake_at: dict[str, Any]) -> dict[str, Any]:
    return {"collection": {"$in": list(collections)}, "owner": None, "wake_at": wake_at}


def _claim(seen: Row, owner: str, fence: int) -> UpdateOne:
    """Take a document if it is still due as it was seen and nobody has had it since."""
    where = {"_id": seen["_id"], "owner": None, "wake_at": seen["wake_at"], "fence": seen.get("fence")}
    claim = {"owner": owner, "fence": fence, "beat": 0, "claimed_wake_at": seen["wake_at"]}
    return UpdateOne(where, {"$set": claim, "$unset": {"wake_at": ""}})


def _to_claim(row: Row, due: int) -> Claim:
    return Claim(to_stored(row), fence=row["fence"], attempts=row.get("attempts", 0), due=moment(due))


def _held(collection: str, id_: str, fence: int) -> dict[str, Any]:
    return {"_id": key_of(collection, id_), "fence": fence, "owner": {"$exists": True}}
