"""One SQLite file: the schema, the one thread that writes, and the reading connection.

All services of a process share a file and its writer, so whatever they save at the same time shares one
commit and one fsync. Several processes may use the file; SQLite's lock orders their commits.

Reads run on the calling thread. They go by an index and take some ten microseconds, less than handing
them to another thread would cost.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from patchline_kit.sqlite_file import NewerLayout, code_of, connect, disk_is_full, lay_out
from patchline_kit.store.port import AlreadyHandled, FenceLost, StoreError, StoreFull, VersionConflict

T = TypeVar("T")
C = TypeVar("C", bound=sqlite3.Connection)

SCHEMA_VERSION = 1
BATCH = 1_000
"""Most jobs that share a commit."""
CACHE_KIB = 32_000
"""Of pages, for each connection."""

FAULTS_OF_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)

SCHEMA = """
CREATE TABLE documents (
    service TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL,
    version INTEGER NOT NULL, body BLOB NOT NULL, tags TEXT NOT NULL,
    traceparent TEXT, cause_id TEXT, saved_at INTEGER NOT NULL,
    wake_at INTEGER, wake_priority INTEGER NOT NULL,
    owner TEXT, fence INTEGER NOT NULL DEFAULT 0, beat INTEGER NOT NULL DEFAULT 0,
    claimed_wake_at INTEGER, attempts INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX documents_by_id ON documents (service, collection, id);
CREATE INDEX documents_due ON documents (service, collection, wake_priority, wake_at)
    WHERE wake_at IS NOT NULL AND owner IS NULL;
CREATE INDEX documents_claimed ON documents (service) WHERE owner IS NOT NULL;
CREATE TABLE tags (
    service TEXT NOT NULL, collection TEXT NOT NULL, tag TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (service, collection, tag, id)
) WITHOUT ROWID;
CREATE TABLE counts (
    service TEXT NOT NULL, collection TEXT NOT NULL, tag TEXT NOT NULL, documents INTEGER NOT NULL,
    PRIMARY KEY (service, collection, tag)
) WITHOUT ROWID;
CREATE TABLE inbox (
    service TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, record_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (service, collection, id, record_id)
) WITHOUT ROWID;
CREATE INDEX inbox_by_age ON inbox (service, at);
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL,
    event_id TEXT NOT NULL, topic TEXT, key BLOB NOT NULL, headers TEXT NOT NULL, value BLOB NOT NULL,
    cause_id TEXT, traceparent TEXT
);
CREATE INDEX outbox_by_document ON outbox (service, collection, id, sequence);
CREATE INDEX outbox_by_service ON outbox (service, sequence);
CREATE TABLE parked (
    service TEXT NOT NULL, lane TEXT NOT NULL, sequence INTEGER NOT NULL,
    record BLOB NOT NULL, not_before INTEGER, attempts INTEGER NOT NULL, reason TEXT NOT NULL,
    first_failed_at INTEGER NOT NULL, waits_for TEXT,
    PRIMARY KEY (service, lane, sequence)
);
CREATE INDEX parked_due ON parked (service, not_before) WHERE not_before IS NOT NULL;
CREATE INDEX parked_waiting ON parked (service, waits_for) WHERE waits_for IS NOT NULL;
CREATE TABLE fences (last INTEGER NOT NULL);
INSERT INTO fences VALUES (0);
"""

log = logging.getLogger(__name__)


class WritingConnection(sqlite3.Connection):
    """The writer's connection, with what the saves of one transaction share."""

    def begin(self) -> None:
        """Open a transaction. Other processes wait from here on."""
        self.execute("BEGIN IMMEDIATE")
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, service: str, collection: str, tag: str, by: int) -> None:
        """Correct how many documents of a collection have a tag, at the end of the transaction."""
        self._counts[service, collection, tag] += by

    def finish(self) -> None:
        """Commit; durable on return."""
        self.executemany(
            "INSERT INTO counts (service, collection, tag, documents) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET documents = documents + excluded.documents",
            [(*where, by) for where, by in self._counts.items() if by],
        )
        self.execute("COMMIT")


Work = Callable[[WritingConnection], T]


@dataclass(slots=True)
class _Job(Generic[T]):
    run: Work[T]
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop


class SqliteDatabase:
    """A SQLite file with its writer thread. Make it inside a running event loop; close it at the end.

    Raises :class:`StoreError` if the file cannot be opened or is of a newer Patchline.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._writing = _connect(path, WritingConnection)
            lay_out(self._writing, path, schema=SCHEMA, layout=SCHEMA_VERSION)
            self._reading = _connect(path, sqlite3.Connection)
            self._reading.execute("PRAGMA query_only = ON")
        except NewerLayout as newer:
            raise StoreError(str(newer)) from newer
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be opened as Patchline's store: {error}") from error
        self._collected: list[_Job[Any]] = []
        self._jobs: queue.SimpleQueue[list[_Job[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self.commits = 0
        """Transactions so far."""
        self._thread = threading.Thread(target=self._write_forever, name=f"store {path.name}", daemon=True)
        self._thread.start()

    def read(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows of a ``SELECT``, as of the last commit."""
        try:
            return self._reading.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def write(self, run: Work[T]) -> T:
        """Run ``run`` in the writer's next transaction and return once that is durable.

        What is asked for in one turn of the event loop goes into one transaction. ``run`` raises
        :class:`VersionConflict` and its like before it writes anything, and returns no cursor: that would
        bring the connection into a second thread. Raises :class:`StoreFull` or :class:`StoreError` when
        nothing could be stored.
        """
        return await self._collect(run)

    async def write_all(self, runs: Sequence[Work[T]]) -> list[T | Exception]:
        """Like :meth:`write` for each of ``runs``, together; what each returned or raised, in order."""
        results: list[T | Exception] = []
        for future in [self._collect(run) for run in runs]:
            try:
                results.append(await future)
            except Exception as error:
                results.append(error)
        return results

    async def close(self) -> None:
        """Finish what was accepted, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reading.close()
        self._writing.close()

    def _collect(self, run: Work[T]) -> asyncio.Future[T]:
        """Take ``run`` into what this turn of the event loop hands to the writer."""
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not self._collected:
            loop.call_soon(self._hand_over)
        self._collected.append(_Job(run, future, loop))
        return future

    def _hand_over(self) -> None:
        if self._collected:
            self._jobs.put(self._collected)
            self._collected = []

    def _write_forever(self) -> None:
        while (batch := self._jobs.get()) is not None:
            while len(batch) < BATCH and (more := self._at_once()) is not None:
                batch += more
            self._commit(batch)

    def _at_once(self) -> list[_Job[Any]] | None:
        try:
            found = self._jobs.get_nowait()
        except queue.Empty:
            return None
        if found is None:
            self._jobs.put(None)
        return found

    def _commit(self, batch: list[_Job[Any]]) -> None:
        """One transaction for ``batch``; where a job breaks it, each job gets one of its own."""
        try:
            results = self._transaction(batch)
        except Exception as error:
            if len(batch) > 1 and not _concerns_all(error):
                for job in batch:
                    self._commit([job])
                return
            told = self._explained(error) if isinstance(error, sqlite3.Error) else error
            results = [told] * len(batch)
        _resolve(batch, results)

    def _transaction(self, batch: list[_Job[Any]]) -> list[Any]:
        connection = self._writing
        connection.begin()
        try:
            results: list[Any] = []
            for job in batch:
                try:
                    results.append(job.run(connection))
                except (AlreadyHandled, VersionConflict, FenceLost) as refusal:
                    results.append(refusal)
            connection.finish()
            self.commits += 1
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def _explained(self, error: sqlite3.Error) -> StoreError:
        if disk_is_full(error, self.path):
            return StoreFull(f"no room left to write {self.path}: {error}; free some disk space")
        return StoreError(f"{self.path}: {error}")


def _connect(path: Path, kind: type[C]) -> C:
    connection = connect(path, kind)
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def _concerns_all(error: Exception) -> bool:
    """Whether the file, rather than one job, is at fault."""
    return isinstance(error, sqlite3.Error) and code_of(error) in FAULTS_OF_THE_FILE


def _resolve(batch: list[_Job[Any]], results: list[Any]) -> None:
    def deliver() -> None:
        for job, result in zip(batch, results, strict=True):
            if job.future.done():
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)

    try:
        batch[0].loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        log.warning("the event loop was gone before %d writes could be reported", len(batch))
