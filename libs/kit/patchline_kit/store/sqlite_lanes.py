"""Records set aside, in the SQLite store: lanes of which only the first record is ever due."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from patchline_kit.store.port import Parked
from patchline_kit.store.sqlite_rows import PARKED, Part, micros, moment, to_parked

VALUES_PER_QUERY = 500


class SqliteLanes(Part):
    """The parking part of :class:`patchline_kit.store.port.Store`."""

    async def park(self, parked: Parked) -> None:
        """See :meth:`patchline_kit.store.port.Store.park`."""
        await self._database.write(lambda connection: _park(connection, self._service, parked))

    async def parked_lanes(self, lanes: Sequence[str]) -> frozenset[str]:
        """Which of ``lanes`` hold parked records."""
        return self._parked_with("lane", lanes)

    async def claim_parked(self, now: datetime, until: datetime, limit: int = 100) -> Sequence[Parked]:
        """The first record of each lane whose time has come; nobody gets it again before ``until``."""
        earliest = await self.next_parked()
        if earliest is None or earliest > now:
            return ()

        def claim(connection: sqlite3.Connection) -> list[Parked]:
            rows = connection.execute(
                f"SELECT {PARKED} FROM parked WHERE service = ? AND not_before <= ?"
                " AND not_before IS NOT NULL ORDER BY not_before LIMIT ?",
                (self._service, micros(now), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE parked SET not_before = ? WHERE service = ? AND lane = ? AND sequence = ?",
                [(micros(until), self._service, lane, sequence) for lane, sequence, *_ in rows],
            )
            return [to_parked(row) for row in rows]

        return await self._database.write(claim)

    async def next_parked(self) -> datetime | None:
        """When the next parked record is due."""
        ((earliest,),) = self._database.read(
            "SELECT min(not_before) FROM parked WHERE service = ? AND not_before IS NOT NULL",
            (self._service,),
        )
        return None if earliest is None else moment(earliest)

    async def parked(self, *, after: tuple[str, int] = ("", -1), limit: int = 100) -> Sequence[Parked]:
        """All parked records by lane and sequence, for looking."""
        rows = self._database.read(
            f"SELECT {PARKED} FROM parked WHERE service = ? AND (lane, sequence) > (?, ?)"
            " ORDER BY lane, sequence LIMIT ?",
            (self._service, *after, limit),
        )
        return [to_parked(row) for row in rows]

    async def unpark(self, parked: Parked) -> None:
        """Take a record out; the next of its lane becomes due."""
        await self._database.write(lambda connection: _unpark(connection, self._service, parked))

    async def let_go(self, documents: Sequence[str]) -> int:
        """Make the records that wait for any of these (``collection/id``) due at once; how many."""
        waited_for = self._parked_with("waits_for", documents)
        if not waited_for:
            return 0
        return await self._database.write(
            lambda connection: (
                connection.executemany(
                    "UPDATE parked SET not_before = 0 WHERE service = ? AND waits_for = ?"
                    " AND not_before IS NOT NULL",
                    [(self._service, document) for document in waited_for],
                ).rowcount
            )
        )

    def _parked_with(self, column: str, values: Sequence[str]) -> frozenset[str]:
        """Which of ``values`` parked records have there: by index, and with one look where there are none."""
        where = f"FROM parked WHERE service = ? AND {column}"
        if not self._database.read(f"SELECT 1 {where} IS NOT NULL LIMIT 1", (self._service,)):
            return frozenset()
        found: set[str] = set()
        for start in range(0, len(values), VALUES_PER_QUERY):
            some = values[start : start + VALUES_PER_QUERY]
            marks = ", ".join("?" * len(some))
            rows = self._database.read(
                f"SELECT DISTINCT {column} {where} IN ({marks})", (self._service, *some)
            )
            found.update(value for (value,) in rows)
        return frozenset(found)


def _park(connection: sqlite3.Connection, service: str, parked: Parked) -> None:
    (first,) = connection.execute(
        "SELECT min(sequence) FROM parked WHERE service = ? AND lane = ?", (service, parked.lane)
    ).fetchone()
    heads_the_lane = first is None or parked.sequence <= first
    not_before = micros(parked.not_before) if parked.not_before is not None else 0
    connection.execute(
        "INSERT INTO parked (service, lane, sequence, record, not_before, attempts, reason, first_failed_at,"
        " waits_for) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        + (
            " ON CONFLICT DO NOTHING"
            if parked.not_before is None
            else " ON CONFLICT DO UPDATE SET not_before = excluded.not_before, attempts = excluded.attempts,"
            " reason = excluded.reason, waits_for = excluded.waits_for"
        ),
        (
            service,
            parked.lane,
            parked.sequence,
            parked.record,
            not_before if heads_the_lane else None,
            parked.attempts,
            parked.reason,
            micros(parked.first_failed_at),
            parked.waits_for,
        ),
    )
    if first is not None and parked.sequence < first:
        connection.execute(
            "UPDATE parked SET not_before = NULL WHERE service = ? AND lane = ? AND sequence > ?",
            (service, parked.lane, parked.sequence),
        )


def _unpark(connection: sqlite3.Connection, service: str, parked: Parked) -> None:
    connection.execute(
        "DELETE FROM parked WHERE service = ? AND lane = ? AND sequence = ?",
        (service, parked.lane, parked.sequence),
    )
    connection.execute(
        "UPDATE parked SET not_before = 0 WHERE service = ? AND lane = ? AND not_before IS NULL"
        " AND sequence = (SELECT min(sequence) FROM parked WHERE service = ? AND lane = ?)",
        (service, parked.lane, service, parked.lane),
    )
