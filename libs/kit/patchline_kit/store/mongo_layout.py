"""Documents, outbox entries and parked records as they lie in MongoDB, and the indexes that find them.

Each service has the collections ``<service>.documents``, ``.inbox``, ``.parked`` and ``.lanes``; all share
``fences``. Everything that one save changes lies in one MongoDB document, so that the save is one
atomic write without a transaction. Instants are microseconds since 1970: BSON's dates know milliseconds only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from patchline_kit.store.port import Outgoing, Parked, Pending, Stored

Row = Mapping[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

DOCUMENTS, INBOX, PARKED, LANES, FENCES = "documents", "inbox", "parked", "lanes", "fences"
ALL: Final = ""
"""The tag that every document has."""

SLEEPING = {"wake_at": {"$exists": True}}
CLAIMED = {"owner": {"$exists": True}}

INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    DOCUMENTS: (
        IndexModel([("collection", ASCENDING), ("tags", ASCENDING), ("_id", ASCENDING)], name="by_tag"),
        IndexModel(
            [
                ("collection", ASCENDING),
                ("owner", ASCENDING),
                ("wake_priority", DESCENDING),
                ("wake_at", ASCENDING),
            ],
            name="due",
            partialFilterExpression=SLEEPING,
        ),
        IndexModel(
            [("collection", ASCENDING), ("owner", ASCENDING), ("wake_at", ASCENDING)],
            name="next_wake",
            partialFilterExpression=SLEEPING,
        ),
        IndexModel([("owner", ASCENDING)], name="claimed", partialFilterExpression=CLAIMED),
        IndexModel([("outbox.sequence", ASCENDING)], name="outbox", sparse=True),
        IndexModel([("inbox.at", ASCENDING)], name="inbox_by_age", sparse=True),
    ),
    INBOX: (IndexModel([("at", ASCENDING)], name="by_age"),),
    PARKED: (IndexModel([("lane", ASCENDING), ("sequence", ASCENDING)], name="by_lane"),),
    LANES: (
        IndexModel([("not_before", ASCENDING)], name="due"),
        IndexModel([("waits_for", ASCENDING)], name="waiting", sparse=True),
    ),
}
"""What a store makes at its start, by collection."""

BESIDE = dict.fromkeys(("version", "sequence", "outbox.sequence", "outbox.size", "inbox_size", "spills"), 1)
"""What lies beside a document's body and its next save has to know."""
STORED = BESIDE | dict.fromkeys(
    ("collection", "body", "traceparent", "cause_id", "wake_at", "wake_priority", "saved_at"), 1
)
"""What of a document is read to load it: without what inbox and outbox hold."""


def key_of(collection: str, id_: str) -> str:
    """A document's ``_id``. Names of collections hold no slash, ids may."""
    return f"{collection}/{id_}"


def names_of(key: str) -> tuple[str, str]:
    """Collection and id of a ``_id``."""
    collection, _, id_ = key.partition("/")
    return collection, id_


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - EPOCH) // MICROSECOND


def moment(stored_micros: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + timedelta(microseconds=stored_micros)


def optional_moment(stored_micros: int | None) -> datetime | None:
    """Like :func:`moment`; None stays None."""
    return None if stored_micros is None else moment(stored_micros)


def to_stored(row: Row) -> Stored:
    """A document of which :data:`STORED` was read."""
    collection, id_ = names_of(row["_id"])
    return Stored(
        collection=collection,
        id=id_,
        version=row["version"],
        body=row["body"].encode(),
        traceparent=row.get("traceparent"),
        cause_id=row.get("cause_id"),
        wake_at=optional_moment(row.get("wake_at")),
        wake_priority=row["wake_priority"],
        saved_at=moment(row["saved_at"]),
    )


def size_of(outgoing: Outgoing) -> int:
    """About how many bytes it takes in an outbox."""
    headers = sum(len(name) + len(raw) + 16 for name, raw in outgoing.headers)
    return len(outgoing.value) + len(outgoing.key) + headers + 200


def outbox_entry(pending: Pending) -> dict[str, Any]:
    """What lies in a document's outbox."""
    outgoing = pending.outgoing
    return {
        "sequence": pending.sequence,
        "size": size_of(outgoing),
        "id": outgoing.id,
        "topic": outgoing.topic,
        "key": outgoing.key,
        "headers": [[name, raw] for name, raw in outgoing.headers],
        "value": outgoing.value,
        "cause_id": pending.cause_id,
        "traceparent": pending.traceparent,
    }


def to_pending(key: str, entry: Row) -> Pending:
    """What :func:`outbox_entry` made."""
    collection, id_ = names_of(key)
    return Pending(
        collection=collection,
        document_id=id_,
        sequence=entry["sequence"],
        outgoing=Outgoing(
            id=entry["id"],
            topic=entry["topic"],
            key=entry["key"],
            headers=tuple((name, raw) for name, raw in entry["headers"]),
            value=entry["value"],
        ),
        cause_id=entry["cause_id"],
        traceparent=entry["traceparent"],
    )


def parked_key(lane: str, sequence: int) -> str:
    """A parked record's ``_id``."""
    return f"{lane}#{sequence}"


def parked_row(parked: Parked) -> dict[str, Any]:
    """A parked record, without when its lane is due."""
    return {
        "lane": parked.lane,
        "sequence": parked.sequence,
        "record": parked.record,
        "attempts": parked.attempts,
        "reason": parked.reason,
        "first_failed_at": micros(parked.first_failed_at),
        "waits_for": parked.waits_for,
    }


def to_parked(row: Row, not_before: int | None) -> Parked:
    """What :func:`parked_row` made, due at ``not_before``."""
    return Parked(
        lane=row["lane"],
        sequence=row["sequence"],
        record=row["record"],
        not_before=optional_moment(not_before),
        attempts=row["attempts"],
        reason=row["reason"],
        first_failed_at=moment(row["first_failed_at"]),
        waits_for=row["waits_for"],
    )
