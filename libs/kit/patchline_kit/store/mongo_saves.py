"""A save as one atomic MongoDB write, and what became of a write that did not match. No I/O here."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

from pymongo import InsertOne, UpdateOne

from patchline_kit.store.mongo_known import Known, Sequences
from patchline_kit.store.mongo_layout import ALL, BESIDE, Row, key_of, micros, outbox_entry, size_of
from patchline_kit.store.port import (
    EARLIER_SHOWN,
    AlreadyHandled,
    FenceLost,
    Pending,
    Save,
    Saved,
    StoreError,
    VersionConflict,
)

Request = InsertOne[Any] | UpdateOne
Verdict = Literal["done", "again"] | Exception

MOST_BYTES: Final = 15 << 20
"""Of a document with all that it emits; MongoDB's own limit is 16 MiB, with the names of fields."""
TOKENS_KEPT: Final = 16
"""How many of its latest writes a document names: whether an unanswered one arrived is known for so long."""

JUDGED = BESIDE | dict.fromkeys(("writes", "owner", "fence", "inbox"), 1)
"""What of a document is read to judge a write."""


class Write(Protocol):
    """Something to be written to one document."""

    key: str
    needs_known: bool
    """Whether what lies beside the body must be known before."""
    record_id: str | None
    """What the document's inbox must not know; None where that does not matter."""

    def request(self, known: Known | None) -> Request:
        """The write itself, on a document of which ``known`` is known."""

    def judge(self, state: Row | None, *, answered: bool) -> Verdict:
        """What became of it, seeing the document: the server matched nothing, or it has not answered."""

    def result(self) -> object:
        """What it made, once it is done."""

    def known(self) -> Known | None:
        """What is known of the document once it is done."""


class SaveWrite:
    """A :class:`patchline_kit.store.port.Save`."""

    def __init__(self, save: Save, sequences: Sequences) -> None:
        """Raises :class:`ValueError` for what is larger than MongoDB stores."""
        size = len(save.body or b"") + sum(len(outgoing.value) for outgoing in save.outgoing)
        if size > MOST_BYTES:
            raise ValueError(
                f"{save.collection}/{save.id} and what it emits take {size:,} bytes; MongoDB stores up to"
                f" {MOST_BYTES:,} together"
            )
        self.save = save
        self.key = key_of(save.collection, save.id)
        self.needs_known = save.expected_version > 0 and bool(save.outgoing)
        self.record_id = save.handled
        self._token = new_token()
        self._sequences = sequences
        self._at = micros(save.at or datetime.now(UTC))
        self._base: Known | None = None
        self._pending: tuple[Pending, ...] = ()

    def request(self, known: Known | None) -> Request:
        """See :class:`Write`."""
        save = self.save
        self._base = known if known is not None and matches(known.version, save.expected_version) else None
        self._pending = self._numbered(self._base)
        if save.expected_version == 0 and self._base is None:
            return InsertOne(self._new())
        version = save.expected_version if self._base is None else self._base.version
        where = document_at(self.key, version, save.handled, known)
        if save.fence is not None:
            where |= {"fence": save.fence, "owner": {"$exists": True}}
        return UpdateOne(where, self._change(abs(version) + 1))

    def judge(self, state: Row | None, *, answered: bool) -> Verdict:
        """See :class:`Write`."""
        save = self.save
        if state is None:
            return "again" if save.expected_version == 0 else conflict(self.key, 0, save.expected_version)
        if self._token in state.get("writes", ()):
            return "done"
        if handled(state, save.handled):
            return already_handled(self.key, save.handled)
        if not matches(state["version"], save.expected_version):
            if abs(state["version"]) > save.expected_version + TOKENS_KEPT:
                return StoreError(f"whether {self.key} was saved cannot be told any more")
            return conflict(self.key, state["version"], save.expected_version)
        lost = save.fence is not None and ("owner" not in state or state.get("fence") != save.fence)
        return FenceLost(f"another worker has taken {self.key} over") if lost else "again"

    def result(self) -> Saved:
        """See :class:`Write`."""
        waiting = tuple(self._base.waiting) if self._base and self._pending else ()
        earlier = waiting[-EARLIER_SHOWN:][::-1]
        return Saved(self._version(), self._pending, earlier)

    def known(self) -> Known | None:
        """See :class:`Write`."""
        if self._base is None and self.save.expected_version > 0:
            return None
        base = self._base or Known(0)
        mine = {entry.sequence: size_of(entry.outgoing) for entry in self._pending}
        version = self._version() if self.save.body is not None else -self._version()
        return Known(
            version,
            self._pending[-1].sequence if self._pending else base.last,
            {**base.waiting, **mine},
            base.inbox + (self.record_id is not None),
            base.spills,
        )

    def _version(self) -> int:
        return (abs(self._base.version) if self._base else self.save.expected_version) + 1

    def _numbered(self, base: Known | None) -> tuple[Pending, ...]:
        save = self.save
        numbers = self._sequences.take(len(save.outgoing), base.last if base else 0)
        return tuple(
            Pending(save.collection, save.id, number, outgoing, save.cause_id, save.traceparent)
            for number, outgoing in zip(numbers, save.outgoing, strict=True)
        )

    def _content(self, version: int) -> dict[str, Any]:
        """The fields that every save sets; a negative version marks a deleted document."""
        save = self.save
        content: dict[str, Any] = {
            "version": version,
            "tags": [ALL, *sorted(save.tags)],
            "traceparent": save.traceparent,
            "cause_id": save.cause_id,
            "saved_at": self._at,
            "wake_priority": save.wake_priority,
        }
        if save.body is None:
            content |= {"version": -version, "tags": []}
        else:
            content["body"] = save.body.decode()
        if self._pending:
            content["sequence"] = self._pending[-1].sequence
        return content

    def _new(self) -> dict[str, Any]:
        save = self.save
        new = {"_id": self.key, "collection": save.collection, **self._content(1), "writes": [self._token]}
        if save.wake_at is not None and save.body is not None:
            new["wake_at"] = micros(save.wake_at)
        if save.handled is not None:
            new |= {"inbox": [inbox_entry(save.handled, self._at)], "inbox_size": 1}
        if self._pending:
            new["outbox"] = [outbox_entry(entry) for entry in self._pending]
        return new

    def _change(self, version: int) -> dict[str, Any]:
        save, content, gone = self.save, self._content(version), []
        if save.body is None:
            gone = ["body", "wake_at", "owner", "claimed_wake_at", "attempts"]
        else:
            if save.wake_at is None:
                gone.append("wake_at")
            else:
                content["wake_at"] = micros(save.wake_at)
            if save.release:
                gone += ["owner", "claimed_wake_at", "attempts"]
        push: dict[str, Any] = {"writes": {"$each": [self._token], "$slice": -TOKENS_KEPT}}
        if save.handled is not None:
            push["inbox"] = inbox_entry(save.handled, self._at)
        if self._pending:
            push["outbox"] = {"$each": [outbox_entry(entry) for entry in self._pending]}
        change: dict[str, Any] = {"$set": content, "$push": push}
        if save.handled is not None:
            change["$inc"] = {"inbox_size": 1}
        if gone:
            change["$unset"] = dict.fromkeys(gone, "")
        return change


class NoteWrite:
    """A record without effect, for a document's inbox."""

    needs_known = False

    def __init__(
        self, collection: str, id_: str, expected_version: int, record_id: str, at: datetime
    ) -> None:
        self.key = key_of(collection, id_)
        self._collection = collection
        self._expected = expected_version
        self.record_id: str | None = record_id
        self._record = record_id
        self._at = micros(at)
        self._token = new_token()

    def request(self, known: Known | None) -> Request:
        """See :class:`Write`."""
        entry = inbox_entry(self._record, self._at) | {"by": self._token}
        if self._expected == 0 and (known is None or known.version > 0):
            return InsertOne(
                {
                    "_id": self.key,
                    "collection": self._collection,
                    "version": 0,
                    "tags": [],
                    "wake_priority": 0,
                    "saved_at": self._at,
                    "inbox": [entry],
                    "inbox_size": 1,
                }
            )
        version = known.version if known and matches(known.version, self._expected) else self._expected
        where = document_at(self.key, version, self.record_id, known)
        return UpdateOne(where, {"$push": {"inbox": entry}, "$inc": {"inbox_size": 1}})

    def judge(self, state: Row | None, *, answered: bool) -> Verdict:
        """See :class:`Write`."""
        if state is None:
            return "again" if self._expected == 0 else conflict(self.key, 0, self._expected)
        if any(entry.get("by") == self._token for entry in state.get("inbox", ())):
            return "done"
        if handled(state, self.record_id):
            return already_handled(self.key, self.record_id)
        if not matches(state["version"], self._expected):
            return conflict(self.key, state["version"], self._expected)
        return "again"

    def result(self) -> None:
        """See :class:`Write`."""

    def known(self) -> None:
        """See :class:`Write`."""


class ClearWrite:
    """Outbox entries that were delivered."""

    needs_known = False
    record_id: str | None = None

    def __init__(self, key: str, sequences: Sequence[int]) -> None:
        self.key = key
        self.sequences = sequences

    def request(self, known: Known | None) -> Request:
        """See :class:`Write`."""
        return UpdateOne(
            {"_id": self.key}, {"$pull": {"outbox": {"sequence": {"$in": list(self.sequences)}}}}
        )

    def judge(self, state: Row | None, *, answered: bool) -> Verdict:
        """See :class:`Write`."""
        return "done" if answered or state is None else "again"

    def result(self) -> None:
        """See :class:`Write`."""

    def known(self) -> None:
        """See :class:`Write`."""


def new_token() -> int:
    """A name for a write."""
    return random.getrandbits(63)


def matches(version: int, expected: int) -> bool:
    """Whether a document at ``version`` is what a save expects; a deleted one counts as none."""
    return max(0, version) == expected


def document_at(key: str, version: int, record_id: str | None, known: Known | None) -> dict[str, Any]:
    """The document at exactly this version, if its inbox does not know the record.

    The caller has seen that what had left the inbox, as far as ``known`` knows, does not hold it either.
    """
    where: dict[str, Any] = {"_id": key, "version": version}
    if record_id is None:
        return where
    return where | {"inbox.id": {"$ne": record_id}, "spills": known.spills or None if known else None}


def inbox_entry(record_id: str, at: int) -> dict[str, Any]:
    """What an inbox remembers."""
    return {"id": record_id, "at": at}


def handled(state: Row, record_id: str | None) -> bool:
    """Whether the inbox knows the record."""
    return record_id is not None and any(entry["id"] == record_id for entry in state.get("inbox", ()))


def conflict(key: str, version: int, expected: int) -> VersionConflict:
    """Somebody else has saved the document."""
    return VersionConflict(f"{key} is at {max(0, version)}, not at {expected}")


def already_handled(key: str, record_id: str | None) -> AlreadyHandled:
    """The inbox knows the record."""
    return AlreadyHandled(f"{key} has handled {record_id}")
