"""The embedded log's SQLite file: its layout, the one thread that writes, and the reading connection.

Every record has a place in one order over all topics. SQLite's write lock hands the places out, so a reader
in any process sees them without gaps and an effect never before its cause.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from patchline_kit.sqlite_file import NewerLayout, connect, disk_is_full, lay_out
from patchline_kit.transport.embedded_rows import dump, instant, micros, received
from patchline_kit.transport.port import Received, TransportError
from patchline_kit.transport.topics import Topic
from patchline_schemas import WireRecord

LAYOUT = 1
MOST_RECORDS_A_COMMIT = 5_000
LAZY_SECONDS = 0.02
"""How long a position waits for an append to share its fsync; what a crash loses of it is delivered again."""
PRUNE_CHUNK = 1_000
"""Records deleted in one transaction, so that publishers never wait long behind it."""

SCHEMA = """
CREATE TABLE records (
    place INTEGER PRIMARY KEY, topic TEXT NOT NULL, key BLOB NOT NULL, headers TEXT NOT NULL,
    value BLOB NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX records_by_topic ON records (topic, place);
CREATE TABLE topics (topic TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (
    member TEXT NOT NULL, topic TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (member, topic)
) WITHOUT ROWID;
"""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    records: Sequence[WireRecord]
    positions: Mapping[tuple[str, str], int]
    """By group and topic: the place of the last record handled."""
    run: Callable[[sqlite3.Connection], int] | None
    done: Callable[[int | BaseException], None]
    lazy: bool


class LogFile:
    """The file, open. Use it from one event loop; :meth:`close` it at the end.

    ``on_append`` is called in the loop after records were appended here. Raises :class:`TransportError` if
    the file cannot be used.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime], on_append: Callable[[], None]) -> None:
        self._path = path
        self._now = now
        self._on_append = on_append
        self._loop = asyncio.get_running_loop()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writing = connect(path, sqlite3.Connection)
            lay_out(self._writing, path, schema=SCHEMA, layout=LAYOUT)
            self._reading = connect(path, sqlite3.Connection)
            self._reading.execute("PRAGMA query_only = ON")
        except NewerLayout as newer:
            raise TransportError(str(newer)) from newer
        except (sqlite3.Error, OSError) as error:
            raise self._explained(error) from error
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write_forever, name=f"log {path.name}", daemon=True)
        self._writer.start()

    async def append(self, records: Sequence[WireRecord]) -> None:
        """Append; durable on return. Concurrent calls share a commit."""
        await self._submit(records=records)

    async def commit(self, group: str, positions: Mapping[str, int], *, lazy: bool = True) -> None:
        """Store the places up to which ``group`` has handled each topic; durable on return."""
        await self._submit(positions={(group, topic): place for topic, place in positions.items()}, lazy=lazy)

    async def forget(self, group: str) -> None:
        """Delete the positions of ``group``; durable on return."""

        def delete(connection: sqlite3.Connection) -> int:
            return connection.execute("DELETE FROM positions WHERE member = ?", (group,)).rowcount

        await self._submit(run=delete)

    async def prune(self, topics: Mapping[str, Topic]) -> int:
        """Delete what is older than its topic keeps and every group of the topic has passed; how many.

        Of a compacted topic the newest record of each key stays.
        """
        deleted = 0
        for topic in topics.values():
            if topic.keep is None:
                continue
            before = micros(self._now() - topic.keep)
            count = PRUNE_CHUNK
            while count == PRUNE_CHUNK:
                count = await self._submit(run=partial(_prune, topic=topic, before=before))
                deleted += count
        return deleted

    def ends(self) -> dict[str, int]:
        """The place of the newest record of each topic."""
        return dict(self._query("SELECT topic, last FROM topics"))

    def positions(self, group: str) -> dict[str, int]:
        """The stored position of ``group`` in each topic that it has one for."""
        return dict(self._query("SELECT topic, place FROM positions WHERE member = ?", (group,)))

    def changes(self) -> int:
        """A number that differs from the last one if any process has written since."""
        return int(self._query("PRAGMA data_version")[0][0])

    def after(self, positions: Mapping[str, int], *, limit: int, most_bytes: int) -> list[Received]:
        """The next records after the given place of each topic, in the order of the log."""
        if not positions:
            return []
        head = "SELECT place FROM records WHERE topic = ? AND place > ? ORDER BY place LIMIT ?"
        heads = " UNION ALL ".join([f"SELECT place FROM ({head})"] * len(positions))
        parameters: list[Any] = []
        for topic, place in positions.items():
            parameters += (topic, place, limit)
        statement = (
            f"SELECT topic, place, key, headers, value, at FROM records WHERE place IN ({heads})"
            " ORDER BY place LIMIT ?"
        )
        found: list[Received] = []
        size = 0
        try:
            for row in self._reading.execute(statement, (*parameters, limit)):
                size += len(row[4])
                if found and size > most_bytes:
                    break
                found.append(received(row))
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return found

    def behind(self, topic: str, place: int) -> tuple[int, datetime | None]:
        """How many records of ``topic`` lie after ``place``, and the time of the first of them."""
        where = "FROM records WHERE topic = ? AND place > ?"
        [(count,)] = self._query(f"SELECT count(*) {where}", (topic, place))
        if not count:
            return 0, None
        [(at,)] = self._query(f"SELECT at {where} ORDER BY place LIMIT 1", (topic, place))
        return count, instant(at)

    async def close(self) -> None:
        """Finish what was accepted, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        self._reading.close()
        self._writing.close()

    def _query(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._reading.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def _submit(
        self,
        *,
        records: Sequence[WireRecord] = (),
        positions: Mapping[tuple[str, str], int] | None = None,
        run: Callable[[sqlite3.Connection], int] | None = None,
        lazy: bool = False,
    ) -> int:
        if self._closed:
            raise TransportError(f"{self._path} is closed")
        future: asyncio.Future[int] = self._loop.create_future()

        def done(result: int | BaseException) -> None:
            if future.done():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self._jobs.put(_Job(records, positions or {}, run, done, lazy))
        return await future

    def _write_forever(self) -> None:
        job = self._jobs.get()
        while job is not None:
            batch = [job]
            waits_until = time.monotonic() + LAZY_SECONDS
            size = len(job.records)
            while size < MOST_RECORDS_A_COMMIT:
                patience = waits_until - time.monotonic() if all(each.lazy for each in batch) else 0
                try:
                    job = self._jobs.get(timeout=patience) if patience > 0 else self._jobs.get_nowait()
                except queue.Empty:
                    job = None
                    break
                if job is None:
                    self._jobs.put(None)
                    break
                batch.append(job)
                size += len(job.records)
            self._write(batch)
            job = self._jobs.get()

    def _write(self, batch: list[_Job]) -> None:
        try:
            results: Sequence[int | BaseException] = self._transaction(batch)
        except Exception as error:  # told to every caller whose job was in the transaction
            results = [self._explained(error)] * len(batch)
        try:
            self._loop.call_soon_threadsafe(self._tell, batch, results)
        except RuntimeError:
            log.warning("the event loop was gone before %d log writes could be reported", len(batch))

    def _tell(self, batch: Sequence[_Job], results: Sequence[int | BaseException]) -> None:
        for job, result in zip(batch, results, strict=True):
            job.done(result)
        if any(job.records for job in batch):
            self._on_append()

    def _transaction(self, batch: Sequence[_Job]) -> list[int]:
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            self._insert([record for job in batch for record in job.records])
            positions = {at: place for job in batch for at, place in job.positions.items()}
            self._writing.executemany(
                "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET place = excluded.place",
                [(group, topic, place) for (group, topic), place in positions.items()],
            )
            results = [job.run(self._writing) if job.run else len(job.records) for job in batch]
            self._writing.execute("COMMIT")
        except BaseException:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            raise
        return results

    def _insert(self, records: Sequence[WireRecord]) -> None:
        if not records:
            return
        (last,) = self._writing.execute("SELECT coalesce(max(last), 0) FROM topics").fetchone()
        at = micros(self._now())
        self._writing.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)",
            [
                (place, record.topic, record.key, dump(record.headers), record.value, at)
                for place, record in enumerate(records, last + 1)
            ],
        )
        ends = {record.topic: place for place, record in enumerate(records, last + 1)}
        self._writing.executemany(
            "INSERT INTO topics VALUES (?, ?) ON CONFLICT DO UPDATE SET last = excluded.last", ends.items()
        )

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, TransportError):
            return error
        if disk_is_full(error, self._path):
            return TransportError(
                f"the disk under {self._path} is full: make room there; nothing acknowledged is lost"
            )
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            return TransportError(f"{self._path} cannot be used as Patchline's event log: {error}")
        return TransportError(f"the event log {self._path} cannot be read or written: {error}")


def _prune(connection: sqlite3.Connection, topic: Topic, before: int) -> int:
    (passed,) = connection.execute(
        "SELECT min(place) FROM positions WHERE topic = ?", (topic.name,)
    ).fetchone()
    old = "topic = :topic AND at < :before AND (:passed IS NULL OR place <= :passed)"
    if topic.compacted:
        old += " AND place NOT IN (SELECT max(place) FROM records WHERE topic = :topic GROUP BY key)"
    return connection.execute(
        f"DELETE FROM records WHERE place IN (SELECT place FROM records WHERE {old} LIMIT :most)",
        {"topic": topic.name, "before": before, "passed": passed, "most": PRUNE_CHUNK},
    ).rowcount
