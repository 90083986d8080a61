"""The SQLite store: the embedded default. See :mod:`patchline_kit.store.sqlite_database` for the file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from patchline_kit.store.port import (
    EARLIER_SHOWN,
    AlreadyHandled,
    FenceLost,
    Pending,
    Save,
    Saved,
    Stored,
    VersionConflict,
)
from patchline_kit.store.sqlite_claims import SqliteClaims
from patchline_kit.store.sqlite_database import SqliteDatabase, WritingConnection
from patchline_kit.store.sqlite_lanes import SqliteLanes
from patchline_kit.store.sqlite_rows import PENDING, STORED, dump_headers, micros, to_pending, to_stored

__all__ = ["SqliteDatabase", "SqliteStore"]

ALL = ""
"""The tag under which ``counts`` keeps the size of a collection."""


KEYS = {
    "documents": "service, collection, id",
    "tags": "service, collection, tag, id",
    "counts": "service, collection, tag",
    "inbox": "service, collection, id, record_id",
    "outbox": "sequence",
    "parked": "service, lane, sequence",
}
"""The tables that hold a service's things, and what names a row."""
WIPED_AT_ONCE = 1_000

LOAD_WITH_INBOX = (
    f"SELECT {', '.join(f'd.{column}' for column in STORED.split(', '))}, EXISTS (SELECT 1 FROM inbox"
    " WHERE service = ? AND collection = ? AND id = ? AND record_id = ?) FROM (SELECT 1)"
    " LEFT JOIN documents d ON d.service = ? AND d.collection = ? AND d.id = ?"
)


class SqliteStore(SqliteClaims, SqliteLanes):
    """Documents of one service in a :class:`SqliteDatabase`.

    Implements :class:`patchline_kit.store.port.Store`. Several stores share a database, so closing one closes
    nothing: the database's owner does that.
    """

    async def now(self) -> datetime:
        """The time of the machine that holds the file."""
        return datetime.now(UTC)

    async def load(self, collection: str, id: str) -> Stored | None:
        """The document, or None."""
        rows = self._database.read(
            f"SELECT {STORED} FROM documents WHERE service = ? AND collection = ? AND id = ?",
            (self._service, collection, id),
        )
        return to_stored(rows[0]) if rows else None

    async def load_unless_handled(self, collection: str, id: str, record_id: str) -> Stored | None:
        """See :meth:`patchline_kit.store.port.Store.load_unless_handled`."""
        key = (self._service, collection, id)
        (*row, known) = self._database.read(LOAD_WITH_INBOX, (*key, record_id, *key))[0]
        if known:
            raise AlreadyHandled(f"{collection}/{id} has handled {record_id}")
        return to_stored(row) if row[0] is not None else None

    async def handled(self, collection: str, id: str, record_id: str) -> bool:
        """Whether the document's inbox knows ``record_id``."""
        return bool(
            self._database.read(
                "SELECT 1 FROM inbox WHERE service = ? AND collection = ? AND id = ? AND record_id = ?",
                (self._service, collection, id, record_id),
            )
        )

    async def save(self, save: Save) -> Saved:
        """See :meth:`patchline_kit.store.port.Store.save`."""
        return await self._database.write(lambda connection: _save(connection, self._service, save))

    async def save_all(self, saves: Sequence[Save]) -> Sequence[Saved | Exception]:
        """See :meth:`patchline_kit.store.port.Store.save_all`."""
        return await self._database.write_all(
            [partial(_save, service=self._service, save=save) for save in saves]
        )

    async def note(
        self, collection: str, id: str, expected_version: int, record_id: str, at: datetime
    ) -> None:
        """See :meth:`patchline_kit.store.port.Store.note`."""

        def note(connection: sqlite3.Connection) -> None:
            _row, version = _current(connection, self._service, collection, id)
            if version != expected_version:
                _refuse_handled(connection, self._service, collection, id, record_id)
                raise VersionConflict(f"{collection}/{id} is at {version}, not at {expected_version}")
            _remember(connection, (self._service, collection, id, record_id), micros(at))

        await self._database.write(note)

    async def find(
        self, collection: str, tag: str | None, *, after: str = "", limit: int = 500
    ) -> Sequence[Stored]:
        """Documents with ``tag`` (all with None), by ascending id, beginning after ``after``."""
        if tag is None:
            rows = self._database.read(
                f"SELECT {STORED} FROM documents WHERE service = ? AND collection = ? AND id > ?"
                " ORDER BY id LIMIT ?",
                (self._service, collection, after, limit),
            )
        else:
            columns = ", ".join(f"d.{column}" for column in STORED.split(", "))
            rows = self._database.read(
                f"SELECT {columns} FROM tags t CROSS JOIN documents d USING (service, collection, id)"
                " WHERE t.service = ? AND t.collection = ? AND t.tag = ? AND t.id > ? ORDER BY t.id LIMIT ?",
                (self._service, collection, tag, after, limit),
            )
        return [to_stored(row) for row in rows]

    async def count(self, collection: str, tag: str | None = None) -> int:
        """How many documents have ``tag``; the figure is kept, not counted."""
        rows = self._database.read(
            "SELECT documents FROM counts WHERE service = ? AND collection = ? AND tag = ?",
            (self._service, collection, ALL if tag is None else tag),
        )
        return rows[0][0] if rows else 0

    async def pending(
        self, *, document: tuple[str, str] | None = None, after: int = 0, limit: int = 500
    ) -> Sequence[Pending]:
        """Outbox entries in order, of one document or of all, with a sequence above ``after``."""
        where, parameters = "service = ?", [self._service]
        if document is not None:
            where += " AND collection = ? AND id = ?"
            parameters += document
        rows = self._database.read(
            f"SELECT {PENDING} FROM outbox WHERE {where} AND sequence > ? ORDER BY sequence LIMIT ?",
            (*parameters, after, limit),
        )
        return [to_pending(row) for row in rows]

    async def clear(self, sent: Sequence[Pending]) -> None:
        """Forget outbox entries that were delivered; versions stay as they are."""

        def clear(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM outbox WHERE sequence = ?", [(entry.sequence,) for entry in sent]
            )

        if sent:
            await self._database.write(clear)

    async def prune(self, before: datetime) -> int:
        """Forget what inboxes remember from before that instant; how many records."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM inbox WHERE service = ? AND at < ?", (self._service, micros(before))
                ).rowcount
            )
        )

    async def wipe(self) -> None:
        """Delete everything of this service, some rows in a transaction, so that nobody waits long."""
        for table, key in KEYS.items():
            statement = (
                f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE service = ? LIMIT ?)"
            )
            deleted = WIPED_AT_ONCE
            while deleted == WIPED_AT_ONCE:
                deleted = await self._database.write(
                    lambda connection, statement=statement: (  # type: ignore[misc]
                        connection.execute(statement, (self._service, WIPED_AT_ONCE)).rowcount
                    )
                )

    async def close(self) -> None:
        """Nothing to do: every write was durable when it returned."""


def _save(connection: WritingConnection, service: str, save: Save) -> Saved:
    collection, id_ = save.collection, save.id
    row, version = _current(connection, service, collection, id_)
    if version != save.expected_version:
        if save.handled is not None:
            _refuse_handled(connection, service, collection, id_, save.handled)
        raise VersionConflict(f"{collection}/{id_} is at {version}, not at {save.expected_version}")
    if save.fence is not None and (row is None or row[3] is None or row[4] != save.fence):
        raise FenceLost(f"another worker has taken {collection}/{id_} over")
    at = micros(save.at or datetime.now(UTC))
    if save.handled is not None:
        _remember(connection, (service, collection, id_, save.handled), at)
    _write_document(connection, service, save, row, at)
    earlier: tuple[int, ...] = ()
    if save.outgoing:
        earlier = tuple(
            sequence
            for (sequence,) in connection.execute(
                "SELECT sequence FROM outbox WHERE service = ? AND collection = ? AND id = ?"
                " ORDER BY sequence DESC LIMIT ?",
                (service, collection, id_, EARLIER_SHOWN),
            ).fetchall()
        )
    pending = tuple(_enqueue(connection, service, save))
    return Saved(version=version + 1, pending=pending, earlier=earlier)


def _current(
    connection: sqlite3.Connection, service: str, collection: str, id_: str
) -> tuple[tuple[int, int, str, str | None, int] | None, int]:
    row = connection.execute(
        "SELECT rowid, version, tags, owner, fence FROM documents"
        " WHERE service = ? AND collection = ? AND id = ?",
        (service, collection, id_),
    ).fetchone()
    return row, row[1] if row else 0


def _write_document(
    connection: WritingConnection,
    service: str,
    save: Save,
    row: tuple[int, int, str, str | None, int] | None,
    at: int,
) -> None:
    wake_at = None if save.wake_at is None else micros(save.wake_at)
    old_tags: list[str] = json.loads(row[2]) if row else []
    new_tags: list[str] = sorted(save.tags) if save.body is not None else []
    content = (
        save.body,
        json.dumps(new_tags),
        save.traceparent,
        save.cause_id,
        at,
        wake_at,
        save.wake_priority,
    )
    if save.body is None:
        if row is not None:
            connection.execute("DELETE FROM documents WHERE rowid = ?", (row[0],))
    elif row is None:
        connection.execute(
            "INSERT INTO documents (body, tags, traceparent, cause_id, saved_at, wake_at, wake_priority,"
            " version, service, collection, id) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
            (*content, service, save.collection, save.id),
        )
    else:
        connection.execute(
            "UPDATE documents SET version = version + 1, body = ?, tags = ?, traceparent = ?, cause_id = ?,"
            " saved_at = ?, wake_at = ?, wake_priority = ?"
            + (", owner = NULL, claimed_wake_at = NULL, attempts = 0" if save.release else "")
            + " WHERE rowid = ?",
            (*content, row[0]),
        )
    gone = [tag for tag in old_tags if tag not in save.tags or save.body is None]
    came = [tag for tag in new_tags if tag not in old_tags]
    if gone:
        connection.executemany(
            "DELETE FROM tags WHERE service = ? AND collection = ? AND tag = ? AND id = ?",
            [(service, save.collection, tag, save.id) for tag in gone],
        )
    if came:
        connection.executemany(
            "INSERT INTO tags (service, collection, tag, id) VALUES (?, ?, ?, ?)",
            [(service, save.collection, tag, save.id) for tag in came],
        )
    if row is None and save.body is not None:
        came = [*came, ALL]
    elif row is not None and save.body is None:
        gone = [*gone, ALL]
    for tags, by in ((came, 1), (gone, -1)):
        for tag in tags:
            connection.count(service, save.collection, tag, by)


def _enqueue(connection: sqlite3.Connection, service: str, save: Save) -> Iterable[Pending]:
    document = (service, save.collection, save.id)
    origin = (save.cause_id, save.traceparent)
    for outgoing in save.outgoing:
        headers = dump_headers(outgoing.headers)
        cursor = connection.execute(
            "INSERT INTO outbox (service, collection, id, event_id, topic, key, headers, value, cause_id,"
            " traceparent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*document, outgoing.id, outgoing.topic, outgoing.key, headers, outgoing.value, *origin),
        )
        yield Pending(
            collection=save.collection,
            document_id=save.id,
            sequence=cursor.lastrowid or 0,
            outgoing=outgoing,
            cause_id=save.cause_id,
            traceparent=save.traceparent,
        )


def _refuse_handled(
    connection: sqlite3.Connection, service: str, collection: str, id_: str, record_id: str
) -> None:
    known = connection.execute(
        "SELECT 1 FROM inbox WHERE service = ? AND collection = ? AND id = ? AND record_id = ?",
        (service, collection, id_, record_id),
    ).fetchone()
    if known:
        raise AlreadyHandled(f"{collection}/{id_} has handled {record_id}")


def _remember(connection: sqlite3.Connection, entry: tuple[str, str, str, str], at: int) -> None:
    """Put a record into an inbox. Raises :class:`AlreadyHandled`, before anything else is written."""
    written = connection.execute(
        "INSERT INTO inbox (service, collection, id, record_id, at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (*entry, at),
    ).rowcount
    if not written:
        raise AlreadyHandled(f"{entry[1]}/{entry[2]} has handled {entry[3]}")
