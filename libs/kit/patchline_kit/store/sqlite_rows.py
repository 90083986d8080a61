"""Rows of the SQLite store, as the port's values, and the base of its parts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from patchline_kit.store.port import Outgoing, Parked, Pending, Stored
from patchline_kit.store.sqlite_database import SqliteDatabase

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

STORED = "collection, id, version, body, traceparent, cause_id, wake_at, wake_priority, saved_at"
PENDING = "sequence, collection, id, event_id, topic, key, headers, value, cause_id, traceparent"
PARKED = "lane, sequence, record, not_before, attempts, reason, first_failed_at, waits_for"


class Part:
    """One service's view of the database."""

    def __init__(self, database: SqliteDatabase, service: str) -> None:
        self._database = database
        self._service = service


def micros(instant: datetime) -> int:
    """Microseconds since 1970, as instants lie in the file."""
    return (instant - EPOCH) // MICROSECOND


def moment(stored_micros: int) -> datetime:
    """The instant that lies in the file, in UTC."""
    return EPOCH + timedelta(microseconds=stored_micros)


def optional_moment(stored_micros: int | None) -> datetime | None:
    """Like :func:`moment`; None stays None."""
    return None if stored_micros is None else moment(stored_micros)


def to_stored(row: Any) -> Stored:
    """A row of :data:`STORED`."""
    collection, id_, version, body, traceparent, cause_id, wake_at, wake_priority, saved_at = row
    return Stored(
        collection=collection,
        id=id_,
        version=version,
        body=body,
        traceparent=traceparent,
        cause_id=cause_id,
        wake_at=optional_moment(wake_at),
        wake_priority=wake_priority,
        saved_at=moment(saved_at),
    )


def to_pending(row: Any) -> Pending:
    """A row of :data:`PENDING`."""
    sequence, collection, id_, event_id, topic, key, headers, value, cause_id, traceparent = row
    return Pending(
        collection=collection,
        document_id=id_,
        sequence=sequence,
        outgoing=Outgoing(id=event_id, topic=topic, key=key, headers=load_headers(headers), value=value),
        cause_id=cause_id,
        traceparent=traceparent,
    )


def to_parked(row: Any) -> Parked:
    """A row of :data:`PARKED`."""
    lane, sequence, record, not_before, attempts, reason, first_failed_at, waits_for = row
    return Parked(
        lane=lane,
        sequence=sequence,
        record=record,
        not_before=optional_moment(not_before),
        attempts=attempts,
        reason=reason,
        first_failed_at=moment(first_failed_at),
        waits_for=waits_for,
    )


def dump_headers(headers: tuple[tuple[str, bytes], ...]) -> str:
    """Headers as text; any bytes survive."""
    return json.dumps([(name, raw.decode("latin-1")) for name, raw in headers])


def load_headers(text: str) -> tuple[tuple[str, bytes], ...]:
    """What :func:`dump_headers` wrote."""
    return tuple((name, raw.encode("latin-1")) for name, raw in json.loads(text))
