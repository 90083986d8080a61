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
import shutil
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from patchline_kit.store.port import AlreadyHandled, FenceLost, StoreError, StoreFull, VersionConflict

T = TypeVar("T")

SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 30_000
"""How long a commit waits for another process's commit."""
BATCH = 1_000
"""Most jobs that share a commit."""
ROOM_BYTES = 1 << 20
"""Below this much free disk an I/O error counts as a full disk."""

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


@dataclass(slots=True)
class _Job(Generic[T]):
    run: Callable[[sqlite3.Connection], T]
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop


class SqliteDatabase:
    """A SQLite file with its writer thread. Make it inside a running event loop; close it at the end.

    Raises :class:`StoreError` if the file cannot be opened or is of a newer Patchline.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._writing = self._connect()
            self._create_schema()
            self._reading = self._connect()
            self._reading.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be opened as Patchline's store: {error}") from error
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
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

    async def write(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``run`` in the writer's next transaction and return once that is durable.

        ``run`` raises :class:`VersionConflict` and its like before it writes anything. Raises
        :class:`StoreFull` or :class:`StoreError` when nothing could be stored.
        """
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(run, future, loop))
        return await future

    async def close(self) -> None:
        """Finish what was accepted, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reading.close()
        self._writing.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -32000")
        return connection

    def _create_schema(self) -> None:
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            (found,) = self._writing.execute("PRAGMA user_version").fetchone()
            if found == 0:
                for statement in SCHEMA.split(";"):
                    self._writing.execute(statement)
                self._writing.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._writing.execute("COMMIT")
        except sqlite3.Error:
            self._writing.execute("ROLLBACK")
            raise
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer Patchline (layout {found}); update this one"
            )

    def _write_forever(self) -> None:
        stop = False
        while not stop:
            batch: list[_Job[Any]] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if len(batch) == BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            stop = job is None
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Job[Any]]) -> None:
        """One transaction for ``batch``; where a job breaks it, each job gets one of its own."""
        try:
            results = self._transaction(batch)
        except sqlite3.Error as error:
            full = self._explained(error)
            if len(batch) > 1 and not isinstance(full, StoreFull):
                for job in batch:
                    self._commit([job])
                return
            results = [full] * len(batch)
        except Exception as error:  # a job's own fault, told to whoever gave it
            if len(batch) > 1:
                for job in batch:
                    self._commit([job])
                return
            results = [error]
        _resolve(batch, results)

    def _transaction(self, batch: list[_Job[Any]]) -> list[Any]:
        connection = self._writing
        connection.execute("BEGIN IMMEDIATE")
        try:
            results: list[Any] = []
            for job in batch:
                try:
                    results.append(job.run(connection))
                except (AlreadyHandled, VersionConflict, FenceLost) as refusal:
                    results.append(refusal)
            connection.execute("COMMIT")
            self.commits += 1
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def _explained(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self._no_room()):
            return StoreFull(f"no room left to write {self.path}: {error}; free some disk space")
        return StoreError(f"{self.path}: {error}")

    def _no_room(self) -> bool:
        try:
            return shutil.disk_usage(self.path.parent).free < ROOM_BYTES
        except OSError:
            return False


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
