"""Claims on documents that wake, in the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

from patchline_kit.store.port import Beat, Claim
from patchline_kit.store.sqlite_rows import STORED, Part, micros, moment, to_stored

FREED = (
    "owner = NULL, wake_at = min(coalesce(wake_at, claimed_wake_at), claimed_wake_at), claimed_wake_at = NULL"
)
"""A claim given back undone: the document is due again."""


class SqliteClaims(Part):
    """The claiming part of :class:`patchline_kit.store.port.Store`."""

    async def claim_due(
        self, collections: Sequence[str], now: datetime, owner: str, limit: int
    ) -> Sequence[Claim]:
        """See :meth:`patchline_kit.store.port.Store.claim_due`."""
        return await self._database.write(
            lambda connection: _claim(
                connection, self._service, collections, now=micros(now), owner=owner, limit=limit
            )
        )

    async def next_wake(self, collections: Sequence[str]) -> datetime | None:
        """The earliest ``wake_at`` of an unclaimed document."""
        found: list[int] = []
        for collection in collections:
            for priority in self._priorities(collection):
                ((earliest,),) = self._database.read(
                    "SELECT min(wake_at) FROM documents WHERE service = ? AND collection = ?"
                    " AND wake_priority = ? AND wake_at IS NOT NULL AND owner IS NULL",
                    (self._service, collection, priority),
                )
                if earliest is not None:
                    found.append(earliest)
        return moment(min(found)) if found else None

    async def beat(self, collection: str, id: str, fence: int) -> bool:
        """Show that the claim's owner lives; False when the claim is lost."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE documents SET beat = beat + 1 WHERE service = ? AND collection = ? AND id = ?"
                    " AND owner IS NOT NULL AND fence = ?",
                    (self._service, collection, id, fence),
                ).rowcount
                == 1
            )
        )

    async def release(
        self, collection: str, id: str, fence: int, *, retry_at: datetime | None = None, done: bool = False
    ) -> None:
        """See :meth:`patchline_kit.store.port.Store.release`."""
        values: list[object] = []
        if done:
            change = "owner = NULL, claimed_wake_at = NULL, attempts = 0"
        elif retry_at is None:
            change = FREED
        else:
            change = (
                "owner = NULL, claimed_wake_at = NULL, attempts = attempts + 1,"
                " wake_at = min(coalesce(wake_at, ?1), ?1)"
            )
            values = [micros(retry_at)]
        where: list[object] = [self._service, collection, id, fence]
        marks = [f"?{number}" for number in range(len(values) + 1, len(values) + len(where) + 1)]
        statement = (
            f"UPDATE documents SET {change} WHERE service = {marks[0]} AND collection = {marks[1]}"
            f" AND id = {marks[2]} AND fence = {marks[3]} AND owner IS NOT NULL"
        )

        def release(connection: sqlite3.Connection) -> None:
            connection.execute(statement, values + where)

        await self._database.write(release)

    async def free_claims(self) -> int:
        """Free all claims of this service: for a sole owner at its start. How many there were."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    f"UPDATE documents SET {FREED} WHERE service = ? AND owner IS NOT NULL", (self._service,)
                ).rowcount
            )
        )

    async def claims(self) -> Sequence[Beat]:
        """All leases now held, for the onlooker that takes over those that stand still."""
        return [
            Beat(*row)
            for row in self._database.read(
                "SELECT collection, id, owner, fence, beat FROM documents"
                " WHERE service = ? AND owner IS NOT NULL",
                (self._service,),
            )
        ]

    async def take_over(self, seen: Beat) -> bool:
        """Free a claim if its beat is still the one ``seen``; True when this call freed it."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    f"UPDATE documents SET {FREED} WHERE service = ? AND collection = ? AND id = ?"
                    " AND owner = ? AND fence = ? AND beat = ?",
                    (self._service, seen.collection, seen.id, seen.owner, seen.fence, seen.beat),
                ).rowcount
                == 1
            )
        )

    def _priorities(self, collection: str) -> Iterator[int]:
        """The priorities of sleeping documents, highest first: one index seek each."""
        below = 1 << 31
        while True:
            ((priority,),) = self._database.read(
                "SELECT max(wake_priority) FROM documents WHERE service = ? AND collection = ?"
                " AND wake_priority < ? AND wake_at IS NOT NULL AND owner IS NULL",
                (self._service, collection, below),
            )
            if priority is None:
                return
            yield priority
            below = priority


def _claim(
    connection: sqlite3.Connection,
    service: str,
    collections: Sequence[str],
    *,
    now: int,
    owner: str,
    limit: int,
) -> list[Claim]:
    due: list[tuple[int, int, int]] = []
    for collection in collections:
        due += _due(connection, service, collection, now, limit)
    due.sort(key=lambda found: (-found[1], found[2]))
    claims = []
    for rowid, _priority, wake_at in due[:limit]:
        ((fence,),) = connection.execute("UPDATE fences SET last = last + 1 RETURNING last").fetchall()
        connection.execute(
            "UPDATE documents SET owner = ?, fence = ?, beat = 0, claimed_wake_at = ?, wake_at = NULL"
            " WHERE rowid = ?",
            (owner, fence, wake_at, rowid),
        )
        *row, attempts = connection.execute(
            f"SELECT {STORED}, attempts FROM documents WHERE rowid = ?", (rowid,)
        ).fetchone()
        claims.append(Claim(to_stored(row), fence=fence, attempts=attempts, due=moment(wake_at)))
    return claims


def _due(
    connection: sqlite3.Connection, service: str, collection: str, now: int, limit: int
) -> list[tuple[int, int, int]]:
    """Up to ``limit`` due documents as (rowid, priority, wake_at), never touching those that still sleep."""
    found: list[tuple[int, int, int]] = []
    below = 1 << 31
    while len(found) < limit:
        (priority,) = connection.execute(
            "SELECT max(wake_priority) FROM documents WHERE service = ? AND collection = ?"
            " AND wake_priority < ? AND wake_at IS NOT NULL AND owner IS NULL",
            (service, collection, below),
        ).fetchone()
        if priority is None:
            break
        found += connection.execute(
            "SELECT rowid, wake_priority, wake_at FROM documents WHERE service = ? AND collection = ?"
            " AND wake_priority = ? AND wake_at <= ? AND wake_at IS NOT NULL AND owner IS NULL"
            " ORDER BY wake_at LIMIT ?",
            (service, collection, priority, now, limit - len(found)),
        ).fetchall()
        below = priority
    return found
